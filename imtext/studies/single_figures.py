"""What the figures of the single-network paper show, taken from finished runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from imtext.retrieval import modality_mixing
from imtext.studies.galleries import drawn, picture, sentences_for_images
from imtext.studies.single_collapse import collapse
from imtext.studies.single_judged import first_wrong

if TYPE_CHECKING:
    from imtext.experiment.parameters import Parameters
    from imtext.retrieval import Graded, Mixing
    from imtext.runs import Run
    from imtext.studies.preparation import Prepared
    from imtext.studies.single_data import SingleData
    from imtext.studies.single_meaning import Meaning

STANDARD, BEST = "standard", "config-2"
MEASURES = {"rsum": "R-sum", "semantic_rsum": "semantic R-sum"}


def flat_map(points: np.ndarray) -> np.ndarray:
    """Positions ``(P, 2)`` of embeddings ``(P, D)`` on a t-SNE map; all 0 where the embeddings coincide.

    They coincide where no coordinate differs by more than single precision tells. t-SNE would draw rounding
    as a map, and scikit-learn 1.9 ends the process where it divides by a first principal axis of length 0.

    >>> flat_map(np.ones((4, 8))).tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    length = max(1.0, float(np.abs(points).max()))  # embeddings are of length 1 or so
    if np.ptp(points, axis=0).max() <= np.finfo(np.float32).eps * length:
        return np.zeros((len(points), 2))
    perplexity = min(30.0, (len(points) - 1) / 3)
    with threadpool_limits(1):  # sums of several threads differ in their last digits
        return TSNE(2, init="pca", perplexity=perplexity, random_state=0).fit_transform(points)


class FigureData:
    """The part of :class:`imtext.studies.single_network.SingleStudy` that serves the figures."""

    parameters: Parameters
    prepared: Prepared
    inputs: SingleData
    runs: dict[str, list[Run]]
    model_runs: dict[str, Run]
    graded: dict[str, Graded]
    meaning: Meaning | None

    def network_sizes(self) -> dict[str, Any]:
        """Figure 2: a test image, its first caption as a picture, and the sizes of this run."""
        test, row = self.prepared.splits["test"], self._row(BEST)
        image = drawn(test.n_images, 1)[0]
        sentence = int(test.sentences_of(image)[0])
        side = self.inputs.drawing.side
        return {
            "image": self.prepared.store("test").batch([image])[0].permute(1, 2, 0).numpy(),
            "encoded": self.inputs.texts("test").take([sentence])[0].permute(1, 2, 0).numpy(),
            "sides": (side, side),
            "blocks": tuple(row.blocks),
            "keep": row.keep,
            "dim": row.dim,
            "features": self.inputs.drawing.features,
            "classes": len(np.unique(self.prepared.groups)),
            "weight": row.weight,
            "words": self._words(sentence)[:4] or ["word"],
        }

    def drawn_captions(self, count: int = 3) -> dict[str, Any]:
        """Drawn test captions as pictures, with their words, for `text_pictures`."""
        test, drawing = self.prepared.splits["test"], self.inputs.drawing
        chosen = drawn(test.n_sentences, count)
        room = drawing.capacity
        return {
            "pictures": self.inputs.texts("test").take(chosen).numpy(),
            "words": [self._words(sentence)[:room] for sentence in chosen],
            "places": drawing.places - drawing.slack // 2,
            "tile": drawing.tile,
        }

    def similar(self, count: int = 2) -> dict[str, Any]:
        """Figure 1: the nearest pairs of test captions from different groups, for `similar_pairs`.

        Near in the embedding of the config-2 row. Captions that are the same word for word are left out, and
        no image is shown twice.
        """
        test = self.prepared.splits["test"]
        rows = self._test(BEST)["sentences"]
        cosines = rows @ rows.T
        same = test.group_of_sentence[:, None] == test.group_of_sentence[None]
        cosines[same | np.tri(len(rows), dtype=bool)] = -2
        found: dict[str, list[Any]] = {"images": [], "captions": [], "similarities": []}
        used: set[int] = set()
        for place in np.argsort(-cosines, axis=None, kind="stable")[:20000]:
            pair = np.unravel_index(int(place), cosines.shape)
            images = [int(test.image_of_sentence[one]) for one in pair]
            captions = [test.captions[one] for one in pair]
            if used & set(images) or captions[0].casefold() == captions[1].casefold():
                continue
            used |= set(images)
            found["images"].append([picture(test.image_path(one)) for one in images])
            found["captions"].append(captions)
            found["similarities"].append(float(cosines[pair]))
            if len(found["images"]) == count:
                break
        return found

    def qualitative(self, count: int = 5, k: int = 5) -> dict[str, list[Any]]:
        """Table 3: sentences found for drawn test images, for `sentence_search`."""
        test, arrays = self.prepared.splits["test"], self._test(BEST)
        return sentences_for_images(
            test, arrays["images"], arrays["sentences"], drawn(test.n_images, count), k
        )

    def mixing(self, slug: str = BEST) -> Mixing:
        """How mixed images and sentences of the test split are in the space of a row."""
        arrays = self._test(slug)
        return modality_mixing(
            arrays["images"], arrays["sentences"], image_of_sentence=arrays["image_of_sentence"]
        )

    def maps(self, slugs: tuple[str, ...] = (STANDARD, BEST), most: int = 300) -> list[tuple[Any, ...]]:
        """Figure 3: t-SNE of test images and sentences, for `modality_maps`.

        At most ``most`` drawn images with their sentences; the number for the overlap is of all of them.
        """
        test = self.prepared.splits["test"]
        images = np.array(drawn(test.n_images, most))
        sentences = np.flatnonzero(np.isin(test.image_of_sentence, images))
        panels = []
        for slug in slugs:
            arrays = self._test(slug)
            points = np.concatenate([arrays["images"][images], arrays["sentences"][sentences]])
            is_text = np.arange(len(points)) >= len(images)
            panels.append((slug, flat_map(points), is_text, self.mixing(slug)))
        return panels

    def collapse(self) -> pd.DataFrame:
        """Loss, spread and directions step by step, with a softmax and without, for `collapse_curves`."""
        return collapse(self._row(STANDARD), *self.sizes.collapse)  # type: ignore[attr-defined]

    def order(self) -> pd.DataFrame:
        """Every model under Recall@K and under semantic recall, with intervals, for `measure_ranks`."""
        lines = []
        for measure, label in MEASURES.items():
            for name, found in self.graded.items():
                low, high = np.percentile(found.samples(measure), [2.5, 97.5])
                cells = {"value": found.value(measure), "low": low, "high": high}
                lines.append({"model": name, "measure": label, **cells})
        return pd.DataFrame(lines)

    def strongest(self) -> str:
        """The model of all papers' with the highest R-sum on the validation split."""
        return max(self.model_runs, key=lambda name: self.model_runs[name].metrics["val"]["rsum"])

    def misjudged(self, name: str | None = None, count: int = 4) -> dict[str, list[Any]]:
        """Answers at the first place that recall counts as wrong and that are right, for `right_but_wrong`.

        Those that a model, by default the strongest, gives to images, each sentence once; empty where there
        are none.
        """
        test, meaning = self.prepared.splits["test"], self.meaning
        if meaning is None:
            return {}
        found = first_wrong(self, name or self.strongest())["image_query"]  # type: ignore[arg-type]
        chosen = np.flatnonzero((found.rank == 1) & (found.value >= meaning.judged["right_from"]))
        chosen = chosen[np.sort(np.unique(found.item[chosen], return_index=True)[1])]
        chosen = chosen[drawn(len(chosen), count)] if len(chosen) else chosen
        items = [int(found.item[query]) for query in chosen]
        return {
            "images": [picture(test.image_path(int(query))) for query in chosen],
            "sentences": [test.captions[item] for item in items],
            "judgements": [self._said(float(found.value[query])) for query in chosen],
            "own": [picture(test.image_path(int(test.image_of_sentence[item]))) for item in items],
            "ranks": [1] * len(items),
        }

    def _said(self, value: float) -> str:
        if self.parameters.dataset == "flickr8k":
            return f"experts: {value:.2f} of 4 on average"
        if self.parameters.dataset == "coco":
            return "CxC or ECCV-Caption lists it"
        return "all that it says is true of the scene"

    def _words(self, sentence: int) -> list[str]:
        """The words of a test sentence that are drawn."""
        codes = self.inputs.codes("test")[sentence]
        return self.inputs.vocabulary.decode(codes[codes > 0])

    def _test(self, slug: str) -> dict[str, np.ndarray]:
        return self.runs[slug][0].load_arrays("embeddings-test.npz")

    def _row(self, slug: str) -> Any:
        return self.experiments(self.parameters.seeds[0])[slug]  # type: ignore[attr-defined]


__all__ = ["BEST", "FigureData"]
