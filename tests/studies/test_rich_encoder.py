"""One caption or one picture against trained VSE++ and SCAN rows, in Python and by the command."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from imtext.cli import main
from imtext.data.rows import ImageFeatures
from imtext.errors import ConfigError, DataError, RunError
from imtext.search import search
from imtext.studies import rich_encoder, rich_rows
from imtext.studies.encoder import load_encoder
from imtext.studies.rich_combined import Ensemble, Reranked
from imtext.studies.rich_encoder import TrainedRich
from imtext.studies.rich_features import RichStudy
from imtext.studies.running import run_one

TINY = replace(
    rich_rows.SMOKE,
    data={"train": 24, "val": 10, "test": 10, "size": 72, "crop": 64, "views": 1},
    recipe=replace(rich_rows.SMOKE.recipe, batch_size=16),
)
VSES = ("vse", "bigru-emb-max", "avg-4-max-1234", "vse-tuned")
SCANS = ("scan-ti-avg", "scan-rfe-it-lse")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of some rows of Table 8, of SCAN, of an ensemble and a re-ranking, by slug."""
    folder = tmp_path_factory.mktemp("rich-encoder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rich_rows, "SMOKE", TINY)
        patch.setenv("IMTEXT_DATA", str(folder / "data"))
        study = RichStudy(profile="smoke", device="cpu", runs_dir=folder / "runs", tables="8")
        rows = study.experiments(0)
        # Regions of another stage, pooled to fewer cells.
        inputs = replace(rows["scan-rfe-it-lse"].inputs, stage="C3", grid=3)
        rows["scan-rfe-it-lse"] = replace(rows["scan-rfe-it-lse"], inputs=inputs, sharp=11.0)
        rows["pair"] = Ensemble("pair", (rows["vse"], rows["bigru-emb-max"]))
        rows["again"] = Reranked("again", (rows["vse"],), k1=4, k2=2)
        yield {slug: run_one(rows[slug], folder / "runs") for slug in (*VSES, *SCANS, "pair", "again")}


@pytest.mark.parametrize("slug", VSES)
def test_vse_gives_the_stored_embeddings_again(runs, slug):
    encoder, stored = TrainedRich.load(runs[slug].dir), runs[slug].load_arrays("embeddings-test.npz")
    files = [encoder.test.image_path(i) for i in (7, 0, 3)]
    captions = [encoder.test.captions[j] for j in (1, 6, 2)]
    assert np.ptp(stored["images"], axis=0).max() > 1e-2  # pictures differ by more than the tolerance
    assert np.allclose(encoder.embed_images(files), stored["images"][[7, 0, 3]], atol=1e-4)
    assert np.allclose(encoder.embed_captions(captions), stored["captions"][[1, 6, 2]], atol=1e-4)
    scores = stored["images"] @ stored["captions"].T
    assert np.allclose(encoder.scores_for_captions(captions), scores[:, [1, 6, 2]], atol=1e-4)
    assert np.allclose(encoder.scores_for_images(files), scores[[7, 0, 3]], atol=1e-4)


@pytest.mark.parametrize("slug", SCANS)
def test_scan_gives_the_stored_scores_again(runs, slug):
    encoder, stored = TrainedRich.load(runs[slug].dir), runs[slug].load_arrays("scores-test.npz")["scores"]
    files = [encoder.test.image_path(i) for i in (7, 0, 3)]
    captions = [encoder.test.captions[j] for j in (1, 6, 2)]
    assert np.ptp(stored, axis=0).max() > 1e-3
    assert np.allclose(encoder.scores_for_captions(captions), stored[:, [1, 6, 2]], atol=1e-4)
    assert np.allclose(encoder.scores_for_images(files), stored[[7, 0, 3]], atol=1e-4)
    with pytest.raises(ConfigError, match="no embedding of one side; use scores_for_captions"):
        encoder.embed_captions(captions)
    with pytest.raises(ConfigError, match="use scores_for_images"):
        encoder.embed_images(files)


def test_many_files_are_read_slice_by_slice(runs, monkeypatch):
    encoder = TrainedRich.load(runs["vse"].dir)
    files = [encoder.test.image_path(i) for i in range(7)]
    whole = encoder.embed_images(files)
    monkeypatch.setattr(rich_encoder, "_FILES", 3)
    assert np.allclose(encoder.embed_images(files), whole, atol=1e-5)


@pytest.mark.parametrize("slug", ["vse", "scan-ti-avg"])
def test_what_cannot_be_asked_is_refused(runs, slug, tmp_path):
    encoder = TrainedRich.load(runs[slug].dir)
    with pytest.raises(DataError, match="knows no word of 'qqqq zzzz'"):
        encoder.scores_for_captions([encoder.test.captions[0], "qqqq zzzz"])
    with pytest.raises(ConfigError, match="write \\[caption\\]"):
        encoder.scores_for_captions("a dog")
    for paths in ("a.jpg", []):
        with pytest.raises(ConfigError, match="expected a list of image files"):
            encoder.scores_for_images(paths)
    with pytest.raises(DataError, match=r"no\.jpg"):
        encoder.scores_for_images([tmp_path / "no.jpg"])


def test_runs_without_a_network_are_refused_in_one_line(runs, tmp_path, capsys):
    for slug, words in {
        "pair": "an ensemble of 2 models has no network of its own, so search .* (vse, bigru-emb-max)",
        "again": "a re-ranked row has no network",
    }.items():
        with pytest.raises(RunError, match=words.replace("(", r"\(").replace(")", r"\)")):
            load_encoder(runs[slug].dir)
        assert main(["search", str(runs[slug].dir), "a dog"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    with pytest.raises(RunError, match="not a finished run"):
        load_encoder(tmp_path)


def test_a_trained_cnn_needs_the_captions_it_was_trained_on(runs, monkeypatch):
    prepared = TrainedRich.load(runs["vse-tuned"].dir).rich.prepared
    monkeypatch.setattr(type(prepared.dataset), "fingerprint", lambda self: "other")
    with pytest.raises(RunError, match="expected the captions it was trained on"):
        TrainedRich.load(runs["vse-tuned"].dir)


def test_precomputed_features_are_refused(runs, monkeypatch):
    real = TrainedRich.load(runs["vse"].dir).rich.prepared
    n = real.dataset.n_images
    dataset = replace(real.dataset, features=ImageFeatures((np.ones((n, 4), np.float32),), np.arange(n)))
    splits = {split: dataset.split(split) for split in ("train", "val", "test")}
    stand_in = SimpleNamespace(spec=real.spec, dataset=dataset, splits=splits)
    monkeypatch.setattr(rich_encoder, "prepare", lambda *arguments: stand_in)
    with pytest.raises(RunError, match="precomputed features of .*rows with VSE\\+\\+ or SCAN"):
        load_encoder(runs["vse"].dir)


@pytest.mark.parametrize("slug", ["avg-4-max-1234", "scan-ti-avg"])
def test_the_command_answers_a_caption_and_a_picture(runs, slug, capsys, tmp_path):
    encoder = load_encoder(runs[slug].dir)
    assert isinstance(encoder, TrainedRich)
    caption, picture = encoder.test.captions[4], str(encoder.test.image_path(2))
    scores = encoder.scores_for_captions([caption])[:, 0]
    page = tmp_path / "page.html"
    assert main(["search", str(runs[slug].dir), caption, "--top", "3", "--out", str(page)]) == 0
    lines = capsys.readouterr().out.splitlines()
    best = [encoder.test.image_path(i).name for i in np.argsort(-scores, kind="stable")[:3]]
    assert lines[0] == f"{caption}  (the 10 images of the test split of {encoder.test.name})"
    assert [line.split()[2] for line in lines[1:4]] == best
    assert f"by {'SCAN score' if slug in SCANS else 'cosine'}." in page.read_text()
    scores = encoder.scores_for_images([picture])[0]
    answer = search(encoder, picture, top=2)
    order = np.argsort(-scores, kind="stable")[:2]
    assert [hit.captions for hit in answer.hits] == [(encoder.test.captions[j],) for j in order]
    assert [hit.score for hit in answer.hits] == pytest.approx(scores[order].tolist())
