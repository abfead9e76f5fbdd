"""What a run's hash and a table's provenance say of the data: what a row reads, and nothing else."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from imtext.studies import preparation
from imtext.studies.preparation import DataSpec, Prepared
from imtext.studies.rich_experiment import RichExperiment, ScanExperiment
from imtext.studies.rich_features import RichStudy
from imtext.studies.structure_experiment import StructureExperiment
from imtext.training import Recipe

SPEC = DataSpec(backbone="efficientnet_lite1")
OTHERS = {"backbone": "resnet50", "views": 9, "length": 7, "vectors": "word2vec", "crop": 64, "size": 80}


@pytest.fixture
def data(monkeypatch):
    """A dataset's stand-in, and which image CNNs were asked for."""
    made = SimpleNamespace(features=None, fingerprint=lambda: "content", asked=[])

    def load(name, weights):
        made.asked.append(name)
        return SimpleNamespace(weights_digest=f"digest of {name}")

    monkeypatch.setattr(Prepared, "dataset", made)
    monkeypatch.setattr(preparation, "load_backbone", load)
    preparation.prepare.cache_clear()
    yield made
    preparation.prepare.cache_clear()


def read(row):
    """Fields of the data that change the configuration of a row."""
    return {
        name
        for name, value in OTHERS.items()
        if replace(row, data=replace(SPEC, **{name: value})).config() != row.config()
    }


RECIPE = Recipe(epochs=1, lr=0.1, batch_size=8)
ALL = {"backbone", "crop", "size"}


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        (RichExperiment("a", SPEC, RECIPE), ALL | {"views"}),
        (ScanExperiment("a", SPEC, RECIPE), ALL | {"views"}),
        (StructureExperiment("a", SPEC, "tfidf", RECIPE), ALL),
        (StructureExperiment("a", SPEC, "fv+fv_gmm", RECIPE), ALL | {"vectors"}),
    ],
)
def test_a_run_is_hashed_with_what_its_row_reads(data, row, fields):
    assert read(row) == fields
    assert bool(data.asked) == ("backbone" in fields)


def test_cca_is_not_solved_again_for_how_a_network_is_trained(data):
    row = StructureExperiment("a", SPEC, "tfidf", RECIPE, model="cca")
    others = {"recipe": replace(RECIPE, epochs=3), "hidden": 8, "margin": 0.5, "lambdas": (1.0, 0.0, 0.0)}
    for name, value in others.items():
        assert replace(row, **{name: value}).config() == row.config()
        assert replace(row, model="linear", **{name: value}).config() != replace(row, model="linear").config()
    assert replace(row, dim=8).config() != row.config()


def test_features_of_the_dataset_need_no_image_cnn(data):
    data.features = object()
    row = RichExperiment("a", SPEC, RECIPE)
    assert read(row) == set() and row.config()["data"]["fingerprint"] == "content"
    assert not data.asked


def test_features_of_the_dataset_are_called_so():
    made = RichStudy(dataset="f30k_precomp", profile="quick")
    ran = {text for table in made.tables if table != "5" for text in made.ran(table).values()}
    # An ensemble and a re-ranked row name the rows that they are of.
    of_rows = {text for text in ran if text.endswith(("models", "re-ranked"))}
    assert ran - of_rows and all(text.startswith("features of the dataset; ") for text in ran - of_rows)
    pictures = RichStudy(profile="quick").ran("2").values()
    assert any(text.startswith("EfficientNet-Lite1, frozen; ") for text in pictures)
