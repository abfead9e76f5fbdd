"""One caption or one picture against trained rows of the Intra-Modal Constraint study."""

from dataclasses import replace

import numpy as np
import pytest

from imtext.cli import main
from imtext.errors import ConfigError, DataError
from imtext.search import search
from imtext.studies import intra_rows
from imtext.studies.encoder import load_encoder
from imtext.studies.intra_modal import IntraStudy
from imtext.studies.rich_encoder import TrainedRich
from imtext.studies.running import run_one

TINY = replace(
    intra_rows.SMOKE,
    data={"train": 20, "val": 5, "test": 10, "size": 72, "crop": 64, "views": 1},
    # A word layer other than the word vectors, which are 50 wide.
    network={"dim": 32, "word_dim": 20, "all_epochs": 1},
    recipe=replace(intra_rows.SMOKE.recipe, batch_size=10),
)
READOUTS = {"l1": "halves", "l1-last": "last", "l1-released": "released"}
SLUGS = (*READOUTS, "printed-cosine", "vse")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of rows with each read-out and of VSE++, by slug."""
    folder = tmp_path_factory.mktemp("intra-encoder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intra_rows, "SMOKE", TINY)
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        rows = IntraStudy(profile="smoke", device="cpu", runs_dir=folder / "runs").experiments(0)
        yield {slug: run_one(rows[slug], folder / "runs") for slug in SLUGS}


@pytest.mark.parametrize("slug", SLUGS)
def test_it_gives_the_stored_embeddings_again(runs, slug):
    encoder, stored = TrainedRich.load(runs[slug].dir), runs[slug].load_arrays("embeddings-test.npz")
    files = [encoder.test.image_path(i) for i in (7, 0, 3)]
    captions = [encoder.test.captions[j] for j in (1, 6, 2)]
    for side in ("images", "sentences"):  # they differ by more than the tolerance
        assert np.ptp(stored[side], axis=0).max() > 1e-2
    assert np.allclose(encoder.embed_sentences(captions), stored["sentences"][[1, 6, 2]], atol=1e-4)
    # One by one, so that a sentence does not hang on those beside it.
    for place in (1, 6, 2):
        alone = encoder.embed_sentences([encoder.test.captions[place]])
        assert np.allclose(alone[0], stored["sentences"][place], atol=1e-4)
    assert np.allclose(encoder.embed_image_files(files), stored["images"][[7, 0, 3]], atol=1e-4)
    scores = stored["images"] @ stored["sentences"].T
    assert np.allclose(encoder.scores_for_sentences(captions), scores[:, [1, 6, 2]], atol=1e-4)
    assert np.allclose(encoder.scores_for_image_files(files), scores[[7, 0, 3]], atol=1e-4)


def test_the_text_side_is_that_of_the_row(runs):
    for slug, readout in READOUTS.items():
        text = TrainedRich.load(runs[slug].dir).net.text
        assert (text.readout, text.word.embedding_dim, text.dim) == (readout, 50, 32)
        assert not text.training
    text = TrainedRich.load(runs["vse"].dir).net.text
    assert type(text).__name__ == "GRUText" and text.word.embedding_dim == 20


@pytest.mark.parametrize("slug", ["l1", "vse"])
def test_what_cannot_be_asked_is_refused(runs, slug, tmp_path):
    encoder = TrainedRich.load(runs[slug].dir)
    assert encoder.measure == "cosine" and not encoder.attention
    with pytest.raises(DataError, match="knows no word of 'qqqq zzzz'"):
        encoder.embed_sentences(["qqqq zzzz"])
    with pytest.raises(ConfigError, match="write \\[sentence\\]"):
        encoder.embed_sentences("a dog")
    with pytest.raises(DataError, match=r"no\.jpg"):
        encoder.embed_image_files([tmp_path / "no.jpg"])


@pytest.mark.parametrize("slug", ["l1-last", "vse"])
def test_the_command_answers_a_sentence_and_a_picture(runs, slug, capsys):
    encoder = load_encoder(runs[slug].dir)
    assert isinstance(encoder, TrainedRich)
    caption, picture = encoder.test.captions[4], str(encoder.test.image_path(2))
    scores = encoder.scores_for_sentences([caption])[:, 0]
    assert main(["search", str(runs[slug].dir), caption, "--top", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    best = [encoder.test.image_path(i).name for i in np.argsort(-scores, kind="stable")[:3]]
    assert lines[0] == f"{caption}  (the 10 images of the test split of {encoder.test.name})"
    assert [line.split()[2] for line in lines[1:4]] == best
    scores = encoder.scores_for_image_files([picture])[0]
    order = np.argsort(-scores, kind="stable")[:2]
    answer = search(encoder, picture, top=2)
    assert [hit.sentences for hit in answer.hits] == [(encoder.test.captions[j],) for j in order]
    assert [hit.score for hit in answer.hits] == pytest.approx(scores[order].tolist())
