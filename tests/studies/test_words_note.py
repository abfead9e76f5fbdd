"""Captions of which word vectors know nothing: one line says so before anything is trained."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from imtext.errors import DataError
from imtext.studies import study as study_module
from imtext.studies.instance_loss import InstanceLossStudy
from imtext.studies.rich_features import RichStudy

SPLITS = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
CHINESE = [f"一只{animal}在雪地里奔跑" for animal in "狗猫鸟马牛羊猪鸡鸭鹅鱼虎"]
ENGLISH = [f"A {animal} runs in the snow." for animal in ("dog", "cat", "cow")] * 4


class Trained(Exception):
    """Training would have begun."""


@pytest.fixture
def make(tmp_path, monkeypatch):
    def training(*_, **__):
        raise Trained

    monkeypatch.setattr(study_module, "run_all", training)
    monkeypatch.setenv("IMTEXT_DATA", str(tmp_path / "data"))

    def build(study, captions, **options):
        entries = []
        for number, (caption, split) in enumerate(zip(captions, SPLITS, strict=True)):
            Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
            entries.append({"image": f"{number}.png", "caption": caption, "split": split})
        (tmp_path / "captions.json").write_text(json.dumps(entries), encoding="utf-8")
        runs = tmp_path / "runs"
        return study(dataset="own", data_root=tmp_path, runs_dir=runs, device="cpu", **options)

    return build


def test_words_that_occur_once_are_said_before_training(make, capsys):
    with pytest.raises(Trained):
        assert make(RichStudy, CHINESE, tables="1").runs
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("note: 8 of the 8 words of the training captions occur once, such as '一只狗在雪")


def test_vectors_that_know_no_word_are_an_error_before_training(make, tmp_path):
    with pytest.raises(DataError, match="glove.* none of the words asked for; .* blanks between") as error:
        assert make(InstanceLossStudy, CHINESE, tables="2").runs
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()  # nothing was decoded


def test_vectors_that_know_few_words_are_said(make, capsys):
    captions = ["xqwzj vvkqz qqpxj a", "zzqwk vvkqz qqpxj a", "kkqwz vvkqz qqpxj a"] * 4
    with pytest.raises(Trained):
        assert make(InstanceLossStudy, captions, tables="2").runs
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("note: the word vectors glove know 8 of the 32 words of the training captions")


@pytest.mark.parametrize("study", [RichStudy, InstanceLossStudy])
def test_plain_captions_need_no_word(make, capsys, study):
    with pytest.raises(Trained):
        assert make(study, ENGLISH, tables="2").runs
    assert capsys.readouterr().out == ""
