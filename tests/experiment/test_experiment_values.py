"""An experiment as values: what may be changed, and what its runs are found by."""

import json
import os
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
from PIL import Image

from imtext.errors import ConfigError
from imtext.experiment import GRU, BiLSTM, Constraint, Data, Given, Hinges, Joint, Pooled, Words, adam
from imtext.experiment.compute import Inputs
from imtext.experiment.encoder import rebuilt
from imtext.experiment.experiment import differences, plain
from imtext.experiment.source import Places, Source
from imtext.runs import config_hash


def test_a_dictionary_changes_fields_and_a_part_takes_its_place():
    base = tiny.PAPER
    other = base.but(loss={"constraint": {"weight": 2.0}}, network={"text": GRU()}, recipe={"epochs": 5})
    assert other.loss == replace(base.loss, constraint=replace(base.loss.constraint, weight=2.0))
    assert other.network == Joint(GRU(), 32) and other.recipe.epochs == 5
    assert (other.data, other.image, other.text) == (base.data, base.image, base.text)
    assert base.but(loss={"constraint": None}).loss.constraint is None
    assert base.but(recipe={"milestones": [1, 2]}).recipe.milestones == (1, 2)
    assert base.but(recipe=adam(7, 0.1)).recipe == adam(7, 0.1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"recipe": {"epoch": 1}},
            r"overrides: recipe\.epoch: Recipe has no such field; it has epochs, lr.*; the bases are base",
        ),
        (
            {"recepy": {"epochs": 1}},
            r"overrides: recepy: Experiment has no such field; it has data",
        ),
        ({"recipe": {"epochs": "one"}}, r"recipe\.epochs: takes int \(here 2\), found 'one'"),
        ({"recipe": {"epochs": True}}, r"recipe\.epochs: takes int"),
        ({"recipe": {"lr": None}}, r"recipe\.lr: takes float"),
        ({"recipe": {"epochs": 0}}, r"epochs=0: expected an integer of 1 or more"),
        ({"loss": "hinges"}, r"loss: takes .*found 'hinges'"),
        ({"loss": {"margin": {"value": 1}}}, r"loss\.margin: takes float \(here 0\.2\), found {'value': 1}"),
        ({"loss": {"constraint": {"distance": "l7"}}}, r"l7"),
        (
            {"network": {"text": {"readouts": "last"}}},
            r"network\.text\.readouts: BiLSTM has no",
        ),
        ({"seed": 3}, r"overrides: seed is no setting of the base; use the parameter seeds"),
    ],
)
def test_what_no_base_has_is_refused_in_one_line_before_anything_runs(tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said) as refused:
        tiny.study(tmp_path / "runs", overrides=changes).scale(tiny.PAPER, {"smoke": {}})
    assert "\n" not in str(refused.value) and not (tmp_path / "runs").exists()


def test_overrides_act_on_the_base_and_what_a_row_says_wins(tmp_path):
    study = tiny.study(
        tmp_path, overrides={"loss": {"margin": 0.1, "all_epochs": 0}, "data": {"subset": True}}
    )
    base = study.scale(tiny.PAPER, {"smoke": {"recipe": {"epochs": 1}, "loss": {"margin": 0.3}}})
    assert (base.loss.margin, base.recipe.epochs, base.data.subset) == (0.1, 1, True)
    row = base.but(loss={"all_epochs": 2})
    assert (row.loss.margin, row.loss.all_epochs) == (0.1, 2)


def test_a_profile_and_a_dataset_choose_sizes_and_inputs(tmp_path):
    profiles = {
        "smoke": {},
        "quick": {"network": {"dim": 48}},
        "quick on photographs": {"network": {"dim": 128}},
    }
    quick = tiny.study(tmp_path, profile="quick")
    assert quick.scale(tiny.PAPER, profiles).network.dim == 48
    photographs = replace(quick.parameters, dataset="flickr8k")
    quick.parameters = photographs
    base = quick.scale(tiny.PAPER, profiles)
    assert (base.network.dim, base.data.dataset, base.image) == (128, "flickr8k", tiny.PAPER.image)
    quick.parameters = replace(photographs, dataset="f30k_precomp", overrides={"image": {"views": 3}})
    with pytest.raises(ConfigError, match=r"image\.views: Given has no such field"):
        quick.scale(tiny.PAPER, profiles)
    quick.parameters = replace(quick.parameters, overrides={})
    base = quick.scale(tiny.PAPER, profiles | {"quick on photographs": {"image": {"views": 2}}})
    assert base.image == Given() and base.said.startswith("features of the dataset; BiLSTM")


def every(part):
    """All leaves of an experiment by dotted name."""
    for one in fields(part):
        value = getattr(part, one.name)
        if is_dataclass(value):
            yield from ((f"{one.name}.{name}", leaf) for name, leaf in every(value))
        else:
            yield one.name, value


def other(value):
    """Another value of the same kind; of texts and None there is none that every field takes."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value / 2 + 0.1 if isinstance(value, float) else value


def test_the_hash_is_of_all_values_and_of_nothing_else(tmp_path):
    here, base, changed = config_hash(plain(tiny.PAPER)), tiny.PAPER, 0
    assert config_hash(plain(rebuilt(json.loads(json.dumps(plain(base)))))) == here
    for name, value in every(base):
        first, *rest = name.split(".")
        changes = other(value)
        for part in reversed(rest):
            changes = {part: changes}
        one = base.but(**{first: changes})
        assert (config_hash(plain(one)) != here) is (one != base), name
        changed += one != base
    assert changed > 20
    row = tiny.study(tmp_path / "a").row("l1", base, 0)
    moved = tiny.study(tmp_path / "b", jobs=3).row("another", base, 0)
    assert row.config() == moved.config()  # neither folders nor names nor jobs


def test_the_hash_is_the_same_in_another_process():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tiny\n"
        "from imtext.experiment.experiment import plain\n"
        "from imtext.runs import config_hash\n"
        "print(config_hash(plain(tiny.PAPER)))"
    )
    command = [sys.executable, "-c", code, str(Path(tiny.__file__).parent)]
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path)}
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert found.strip() == config_hash(plain(tiny.PAPER))


def test_every_part_is_rebuilt_from_what_it_wrote():
    start = tiny.PAPER.but(seed=3)
    parts = [
        Data(val=3, subset=True),
        Pooled(maps="avg-4-max-4"),
        Given(),
        Words(vectors=None),
        BiLSTM("last"),
        GRU(True),
        Hinges(),
        Hinges(constraint=Constraint(weight=0.5)),
        adam(2, 0.1, lr_scale=(("net.", 0.1),)),
        replace(tiny.PAPER, start=(start,)),
    ]
    for part in parts:
        assert rebuilt(json.loads(json.dumps(plain(part)))) == part


def test_differences_name_what_is_not_the_same():
    smaller = tiny.PAPER.but(recipe={"epochs": 1}, loss={"constraint": None})
    found = differences(tiny.PAPER, smaller)
    assert found == {"loss.constraint": (tiny.PAPER.loss.constraint, None), "recipe.epochs": (2, 1)}
    assert differences(tiny.PAPER, tiny.PAPER) == {}


def test_options_of_a_reader_are_values_where_they_are_given():
    assert "options" not in plain(tiny.PAPER)["data"]  # rows without options keep their hash
    given = tiny.PAPER.but(data={"options": {"columns": {"caption": "title"}, "captions": ["a.csv"]}})
    assert given.data.options == (("columns", (("caption", "title"),)), ("captions", ("a.csv",)))
    assert rebuilt(json.loads(json.dumps(plain(given)))) == given and isinstance(hash(given), int)


def test_a_reader_takes_the_options_and_what_it_says_is_described(tmp_path):
    for name in "abcd":
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    rows = "".join(f"{name}.png,A title,A text\n" for name in "abc")
    (tmp_path / "captions.csv").write_text(f"image,title,text\n{rows}", encoding="utf-8")
    data = Data(dataset="own", options=(("columns", (("caption", "title"),)),))
    source = Source(data, Places(str(tmp_path)), 8, "32")
    assert source.captions["test"] == ("A title",)
    said = SimpleNamespace(source=source, text=SimpleNamespace(facts=dict))
    assert Inputs.facts(said)["notes"].endswith("1 image files beside them are not used (d.png)")
    with pytest.raises(ConfigError, match="unknown option 'colums'; expected one of captions, columns"):
        _ = Source(replace(data, options=(("colums", 1),)), Places(str(tmp_path)), 8, "32").dataset
