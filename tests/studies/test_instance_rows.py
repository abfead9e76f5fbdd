"""The tables as data: rows of the paper, rows that share a run, what stands for the paper's CNNs."""

from dataclasses import replace

import numpy as np
import pytest

from imtext.data.sampling import group_batches
from imtext.errors import ConfigError
from imtext.report import paper_table
from imtext.studies import instance_rows, scales
from imtext.studies.instance_loss import InstanceLossStudy
from imtext.studies.preparation import DataSpec, Prepared

COMMON = {"profile": "smoke", "device": "cpu", "seed": 0}


def all_rows(dataset="picturebook"):
    found = instance_rows.experiments(DataSpec(dataset=dataset), scales.scale("smoke", dataset), COMMON)
    persons = scales.scale("smoke", "cuhk_pedes")
    return found | instance_rows.person_experiments(DataSpec(dataset="cuhk_pedes"), persons, COMMON)


@pytest.mark.parametrize("dataset", ["picturebook", "coco"])
@pytest.mark.parametrize("number", list(instance_rows.TABLES))
def test_rows_are_the_papers_own_rows_and_have_an_experiment(number, dataset):
    own = [row.id for row in paper_table("instance_loss", number).rows if row.own]
    rows = instance_rows.rows_of(number, dataset)
    extra = list(instance_rows.EXTRA.get(number, {}))
    if number == "3":
        own = [row for row in own if row.startswith("coco" if dataset == "coco" else "flickr30k")]
    assert list(rows) == own + extra
    assert {line.slug for line in rows.values()} <= set(all_rows(dataset))


def test_every_experiment_stands_in_a_table():
    used = {line.slug for number in instance_rows.TABLES for line in instance_rows.rows_of(number).values()}
    assert used == set(all_rows())


def test_stage_two_starts_from_the_same_network_and_data():
    for slug, row in all_rows().items():
        assert (row.stage == 2) == (row.start is not None), slug
        if row.start:
            assert (row.start.data, row.start.depth, row.start.dim) == (row.data, row.depth, row.dim)


@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_each_image_cnn_of_the_paper_has_its_place(profile):
    sizes = scales.scale(profile, "flickr30k")
    found = instance_rows.experiments(DataSpec(), sizes, COMMON)
    names = [found[slug].data.backbone for slug in ("vgg19-1", "instance-1", "resnet152-1")]
    assert len(set(names)) == 3
    if profile == "paper":
        assert names == ["vgg19", "resnet50", "resnet152"]
    assert (found["resnet152-1"].depth, found["text50-1"].depth) == (152, 50)


def test_the_paper_profile_follows_each_dataset():
    epochs = [scales.scale("paper", name).stage1.epochs for name in ("flickr30k", "coco", "cuhk_pedes")]
    assert epochs == [240, 90, 180]
    assert scales.scale("paper", "coco").network["bias"] is False
    assert scales.scale("paper", "cuhk_pedes").data["length"] == 56


@pytest.mark.parametrize(
    ("dataset", "each", "images"), [("flickr30k", 5, 1), ("coco", 5, 1), ("cuhk_pedes", 2, 3)]
)
def test_an_epoch_of_the_paper_profile_is_a_pass_over_the_images(dataset, each, images):
    sizes = scales.scale("paper", dataset)
    groups = np.repeat(np.arange(640), each * images)
    for recipe in (sizes.stage1, sizes.stage2):
        batches = group_batches(groups, recipe.batch_size, 0, 0, per_group=recipe.captions_per_group)
        assert len(batches) == 640 * images / 32


def test_the_paper_profile_takes_the_released_choices_where_the_paper_is_silent():
    for dataset in ("flickr30k", "coco", "cuhk_pedes"):
        sizes = scales.scale("paper", dataset)
        assert sizes.network["all_positions"] and sizes.ranking2["negatives"] == "released"
    full = instance_rows.experiments(DataSpec(), scales.scale("paper", "flickr30k"), COMMON)["full-2"]
    assert (full.negatives, full.candidates, full.all_positions) == ("released", 256, True)


@pytest.mark.parametrize(
    ("dataset", "tables"), [("flickr30k", "1234568"), ("cuhk_pedes", "7"), ("picturebook", "12345678")]
)
def test_a_dataset_fills_the_tables_it_can(dataset, tables):
    assert InstanceLossStudy(dataset=dataset, profile="smoke", data_root="nowhere").tables == tuple(tables)


def test_person_search_without_persons_says_what_to_use():
    with pytest.raises(ConfigError, match="Table 7 searches persons.*use dataset='cuhk_pedes'"):
        InstanceLossStudy(dataset="flickr30k", profile="smoke", tables="7")
    study = InstanceLossStudy(dataset="flickr30k", profile="smoke", data_root="nowhere")
    with pytest.raises(ConfigError, match="no persons"):
        _ = study.persons


class FakeFeatures:
    """Twelve images in three clear heaps."""

    train = np.repeat(np.eye(3, 4, dtype=np.float32), 4, axis=0)[None] + np.linspace(0, 0.01, 12)[
        None, :, None
    ].astype(np.float32)


def test_pseudo_classes_are_clusters_of_images(monkeypatch):
    prepared = Prepared(DataSpec())
    monkeypatch.setattr(prepared, "features", lambda split: FakeFeatures)
    owners = np.repeat(np.arange(12), 2)
    train = type("Split", (), {"image_of_caption": owners, "group_of_caption": owners})
    prepared.__dict__["splits"] = {"train": train}
    classes = prepared.pseudo_classes(3 / 12)
    assert classes.shape == (24,)
    assert len(np.unique(classes)) == 3
    assert (classes.reshape(3, 8) == classes.reshape(3, 8)[:, :1]).all()
    assert (prepared.pseudo_classes(3 / 12) == classes).all()
    assert len(np.unique(prepared.pseudo_classes(1e-6))) == 2


def test_describe_names_what_ran():
    one = all_rows()["instance-1"]
    assert instance_rows.describe(one) == "EfficientNet-Lite0 + text 50"
    paper = replace(one, data=replace(one.data, backbone="resnet152"), depth=152)
    assert instance_rows.describe(paper) == "ResNet-152 + text 152"
