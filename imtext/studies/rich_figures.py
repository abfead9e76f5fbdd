"""What the figures of the Rich Features paper show, taken from finished runs."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file

from imtext.data.images import ImageStore
from imtext.models import attend
from imtext.studies.galleries import captions_for_images, drawn, images_for_captions
from imtext.studies.trained import MODEL

if TYPE_CHECKING:
    from imtext.experiment.parameters import Parameters
    from imtext.runs import Run
    from imtext.studies.preparation import Prepared
    from imtext.studies.rich_data import RichData

RICH, PLAIN, RERANKED = "avg-4-max-1234", "vse", "rerank-rich"
ATTENTION = "scan-ti-avg"
MARKS = ("<start>", "<end>", "<unk>")


class FigureData:
    """The part of :class:`imtext.studies.rich_features.RichStudy` that serves the figures."""

    parameters: Parameters
    prepared: Prepared
    rich: RichData
    runs: dict[str, list[Run]]

    def image_gallery(self, count: int = 3, k: int = 3, slug: str = RICH) -> dict[str, list[Any]]:
        """Figure 4: images found for drawn test captions, for :func:`imtext.report.figures.image_search`."""
        test, arrays = self.prepared.splits["test"], self._test(slug)
        queries = drawn(len(test.captions), count, seed=1)
        return images_for_captions(test, arrays["images"], arrays["captions"], queries, k)

    def caption_gallery(self, count: int = 3, k: int = 5, slug: str = RICH) -> dict[str, list[Any]]:
        """Figure 5: captions found for drawn test images, see `imtext.report.figures.caption_search`."""
        test, arrays = self.prepared.splits["test"], self._test(slug)
        return captions_for_images(
            test, arrays["images"], arrays["captions"], drawn(test.n_images, count), k
        )

    def ablation_gallery(self, count: int = 2, k: int = 5) -> dict[str, dict[str, list[Any]]]:
        """Figure 6: captions found for the same images by VSE++, with rich features, and re-ranked.

        Returns the arguments of :func:`imtext.report.figures.caption_search` by the model's name. The images
        are drawn among those for which VSE++ has no right caption among its first ``k``, as the paper's are;
        what the others find for them had no say.
        """
        test = self.prepared.splits["test"]
        ranks = self.runs[PLAIN][0].load_arrays("ranks-test.npz")["image_query"]
        missed = np.flatnonzero(ranks > k)
        queries = missed[drawn(len(missed), count)] if len(missed) else np.array(drawn(test.n_images, count))
        found = {}
        for name, slug in (("VSE++", PLAIN), ("RFE", RICH)):
            arrays = self._test(slug)
            found[name] = captions_for_images(test, arrays["images"], arrays["captions"], queries, k)
        scores = self.runs[RERANKED][0].load_arrays("scores-test.npz")["scores"][queries]
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        found["RFE, re-ranked"] = {
            "images": found["RFE"]["images"],
            "results": [[test.captions[int(j)] for j in row] for row in best],
            "correct": [
                (test.group_of_caption[row] == test.group_of_image[query]).tolist()
                for query, row in zip(queries, best, strict=True)
            ],
        }
        return found

    def attention(self, query: int | None = None, slug: str = ATTENTION) -> dict[str, Any]:
        """Which places of a test image each word of its first caption attends to.

        Returns the arguments of :func:`imtext.report.figures.attention_picture`. The image is drawn, the
        words are those that the network read: rare words are one and the same to it, and are left out.
        """
        test = self.prepared.splits["test"]
        image = drawn(test.n_images, 1)[0] if query is None else query
        caption = int(test.captions_of(image)[0])
        row = self._row(slug)
        net = _network(row, self.runs[slug][0].dir)
        codes = torch.from_numpy(self.rich.codes("test")[0][caption : caption + 1])
        with torch.no_grad():
            regions = net.embed_regions(
                torch.from_numpy(np.array(self.rich.regions("test")[image : image + 1]))
            )
            words, counts = net.embed_words(codes)
            weights = attend(regions[0], words[0, : int(counts[0])], net.direction, net.smooth).numpy()
        known = self.rich.vocabulary.decode(codes[0].numpy())
        kept = [place for place, word in enumerate(known) if word not in MARKS]
        grid = self.rich.grid("test")
        shown = _square(self.rich.prepared.store("test"), image)
        side = shown.shape[0]
        boxes = grid.boxes * side
        boxes[:, 2:] = np.minimum(boxes[:, 2:], side) - 1
        return {
            "image": shown,
            "regions": np.maximum(boxes.round(), 0),
            "words": [known[place] for place in kept],
            "weights": weights[kept],
        }

    def _test(self, slug: str) -> dict[str, np.ndarray]:
        return self.runs[slug][0].load_arrays("embeddings-test.npz")

    def _row(self, slug: str) -> Any:
        return self.experiments(self.parameters.seeds[0])[slug]  # type: ignore[attr-defined]


def _square(store: ImageStore, image: int) -> np.ndarray:
    """A stored picture, uint8 ``(S, S, 3)``: what the image CNN saw, before the crop."""
    return store.batch(np.array([image]))[0].permute(1, 2, 0).numpy()


@lru_cache(maxsize=2)
def _network(row: Any, folder: Any) -> torch.nn.Module:
    """The trained network of a row."""
    net = row.network(row.rich())
    net.load_state_dict(load_file(folder / MODEL))
    return net.eval()
