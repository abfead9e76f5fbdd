"""What the figures of the Instance Loss paper show, measured on finished runs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from imtext.retrieval import Separation, mean_off_diagonal, pearson_map, separation, top_k
from imtext.runs import Run
from imtext.studies.ablation import ablation_frame, split_ablation, word_ablation
from imtext.studies.embedding import embed_codes
from imtext.studies.encoder import TrainedEncoder
from imtext.studies.galleries import (
    captions_for_images,
    drawn,
    images_for_captions,
    images_with_word,
    picture,
)
from imtext.studies.scales import scale
from imtext.studies.timing import batch_times, timing_table
from imtext.text.tokens import tokenize

if TYPE_CHECKING:
    from imtext.experiment.parameters import Parameters
    from imtext.studies.preparation import Prepared

CURVES = {
    "instance-1": "word vectors, position shift",
    "random-init": "random word layer",
    "left-alignment": "left alignment",
}
SEPARATED = {"ranking-2": "Ranking loss alone", "instance-2": "Instance loss alone", "full-2": "Full model"}


class FigureData:
    """The part of :class:`imtext.studies.instance_loss.InstanceLossStudy` that serves the figures."""

    parameters: Parameters
    runs: dict[str, list[Run]]
    prepared: Prepared
    persons: Prepared

    def alike(self, pairs: int = 2, among: int = 500) -> dict[str, list[Any]]:
        """Figure 1: groups whose pictures are most alike to the ImageNet CNN, yet are classes of their own.

        Pairs of nearest neighbours among the first training pictures, as
        :func:`imtext.report.figures.group_cards` takes them.
        """
        features = np.asarray(self.prepared.features("train").train[0][:among])
        groups = np.unique(self.prepared.splits["train"].group_of_image, return_inverse=True)[1][:among]
        scores, nearest = top_k(features, features, 8)
        # The nearest of another group: a person's own pictures are alike too.
        foreign = groups[nearest] != groups[:, None]
        place = foreign.argmax(1)
        rows = np.flatnonzero(foreign.any(1))
        chosen: list[int] = []
        for image in rows[np.argsort(-scores[rows, place[rows]], kind="stable")]:
            pair = [int(groups[image]), int(groups[nearest[image, place[image]]])]
            if len(chosen) < 2 * pairs and not set(pair) & set(chosen):
                chosen += pair
        return self._cards(self.prepared, chosen, captions=3)

    def samples(self, persons: bool = False, count: int = 3) -> dict[str, list[Any]]:
        """Figure 7: a few groups of a dataset, a person with all pictures and a caption of each."""
        prepared = self.persons if persons else self.prepared
        groups = np.unique(prepared.splits["train"].group_of_image)
        return self._cards(prepared, [int(g) for g in groups[:count]], captions=4 if persons else 5)

    @staticmethod
    def _cards(prepared: Prepared, groups: list[int], captions: int) -> dict[str, list[Any]]:
        """Pictures, captions and labels of groups of the training split."""
        train = prepared.splits["train"]
        names, cards = np.unique(train.group_of_image), {"images": [], "captions": [], "labels": []}
        for group in groups:
            images = np.flatnonzero(train.group_of_image == names[group])
            own = [[train.captions[j] for j in train.captions_of(int(i))] for i in images]
            # A caption of each picture first, then the second of each.
            turns = [line[turn] for turn in range(max(map(len, own))) for line in own if turn < len(line)]
            cards["images"].append([picture(train.image_path(int(i))) for i in images[:4]])
            cards["captions"].append(turns[:captions])
            cards["labels"].append(f"class {group + 1:,}")
        return cards

    def separations(self) -> list[tuple[str, Separation]]:
        """Figure 5: similarities of matching and of other pairs on the validation split, three models."""
        return [(title, separation(**self.embeddings(slug))) for slug, title in SEPARATED.items()]

    def correlations(self, count: int = 100) -> tuple[np.ndarray, np.ndarray]:
        """Figure 4: Pearson maps ``(count, count)`` of validation images before and after Stage I."""
        before = self.prepared.features("val").eval.mean(0)
        after = self.embeddings("instance-1")["images"]
        chosen = np.sort(np.random.default_rng(0).choice(len(after), min(count, len(after)), replace=False))
        return pearson_map(before[chosen]), pearson_map(after[chosen])

    def correlation_means(self) -> tuple[float, float]:
        """Mean off-diagonal correlation before and after Stage I."""
        before, after = self.correlations()
        return mean_off_diagonal(before), mean_off_diagonal(after)

    def curves(self) -> pd.DataFrame:
        """Figure 8: classification error per epoch of Stage I, of images and of captions, first seed."""
        frames = []
        for slug, label in CURVES.items():
            if slug in self.runs:
                frame = pd.read_csv(self.runs[slug][0].dir / "curves.csv")
                frames.append(frame.assign(run=label))
        return pd.concat(frames, ignore_index=True)

    def ablations(self, slug: str = "full-2", count: int = 4) -> list[dict[str, Any]]:
        """Figure 11: drop of the match when one word is left out, for captions of the test split.

        The captions are those best matched to their image among the first 200 test images, one an image:
        a drop says something only where there is a match to lose.
        """
        encoder = self._encoder(slug)
        test = self.prepared.splits["test"]
        known = set(encoder.vocabulary.words)
        found = []
        for image in range(min(200, test.n_images)):
            for caption in test.captions_of(image):
                words = [word for word in tokenize(test.captions[caption]) if word in known]
                if 6 <= len(words) <= 14:
                    found.append((_cosine(encoder, image, caption), image, words))
                    break
        found = sorted(found, key=lambda item: -item[0])[:count]
        return [
            {
                "words": words,
                "drops": word_ablation(words, encoder.images[image], encoder.embed_captions),
                "image": picture(test.image_path(image)),
                "similarity": similarity,
            }
            for similarity, image, words in found
        ]

    @cached_property
    def word_drops(self) -> pd.DataFrame:
        """Figure 11 over the whole test split: every word of every caption left out once, full model.

        One line per word: ``word``, ``kind`` (content or function), ``caption``, ``drop``.
        """
        encoder = self._encoder("full-2")
        codes, lengths = self.prepared.codes("test")
        parts = split_ablation(
            codes,
            lengths,
            encoder.image_of_caption,
            encoder.images,
            lambda part: embed_codes(encoder.net, part, encoder.fabric),
        )
        return ablation_frame(self.prepared.vocabulary.words, codes, *parts)

    def timing(self) -> pd.DataFrame:
        """Section 6.2: milliseconds for a batch of 32 on either path, beside the paper's.

        The networks of this profile and, but in ``smoke``, the paper's own at their full size.
        """
        spec, network = self.prepared.spec, scale(self.parameters.profile, self.parameters.dataset).network
        times = [
            batch_times(
                spec.backbone,
                spec.crop,
                network["width"],
                dim=network["dim"],
                device=self.parameters.device,
                length=spec.length,
                words=len(self.prepared.vocabulary),
                budget_s=4.0,
                forward=False,
            )
        ]
        if self.parameters.profile == "quick":
            times.append(batch_times(device=self.parameters.device, budget_s=12.0, forward=False))
        return timing_table(times).set_index("network").rename_axis(None).round(1)

    def _encoder(self, slug: str) -> TrainedEncoder:
        return TrainedEncoder(self.runs[slug][0], "cpu")

    def caption_gallery(self, word: str | None = None, count: int = 3, k: int = 5) -> dict[str, list[Any]]:
        """Figures 10, 14 and 15: captions that the full model finds for test pictures.

        ``word``: take the first pictures whose captions hold it; None draws pictures.
        """
        test, arrays = self.prepared.splits["test"], self.embeddings("full-2", "test")
        queries = images_with_word(test, word, count) if word else drawn(test.n_images, count)
        return captions_for_images(test, arrays["images"], arrays["captions"], queries, k)

    def image_gallery(self, persons: bool = False, count: int = 4, k: int = 5) -> dict[str, list[Any]]:
        """Figures 9, 12 and 13: pictures that the full model finds for drawn test captions."""
        prepared = self.persons if persons else self.prepared
        slug = "persons-resnet50-2" if persons else "full-2"
        test, arrays = prepared.splits["test"], self.embeddings(slug, "test")
        queries = drawn(test.n_captions, count)
        return images_for_captions(test, arrays["images"], arrays["captions"], queries, k)


def _cosine(encoder: TrainedEncoder, image: int, caption: int) -> float:
    a, b = encoder.images[image], encoder.captions[caption]
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))
