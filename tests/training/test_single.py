"""One network for both: what is in a batch, the objective, resuming, the collapse of centre loss alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from imtext.errors import ConfigError
from imtext.losses.centre import centre_loss
from imtext.models import InceptionResNetV1, PictureCNN, PictureNets
from imtext.text.text_image import TextImage
from imtext.training import MixedBatches, Recipe, SingleObjective, fit, make_fabric
from imtext.vision.backbones import load_backbone

SIDE = 4


class Images:
    """Image i: its number everywhere, a corner marked so that a mirror image shows."""

    def __init__(self, count, side=SIDE):
        self.pixels = torch.arange(count, dtype=torch.uint8)[:, None, None, None].repeat(1, 3, side, side)
        self.pixels[:, :, 0, 0] = 200

    def batch(self, indices):
        return self.pixels[torch.as_tensor(indices)]


class Texts:
    """Caption i: 100 + its number in red, top and left of the crop in green and blue, 255 for the middle."""

    def __init__(self, slack=2):
        self.how = SimpleNamespace(slack=slack, side=SIDE)

    def take(self, indices, offsets=None):
        out = torch.full((len(indices), 3, SIDE, SIDE), 255, dtype=torch.uint8)
        out[:, 0] = 100 + torch.as_tensor(indices)[:, None, None]
        if offsets is not None:
            assert offsets.shape == (len(indices), 2)
            out[:, 1:] = torch.as_tensor(offsets)[:, :, None, None]
        return out


# Not in order: images with 5, 3 and 1 captions, a class of two images, and one of two captions alone.
CLASS_OF_IMAGE = np.array([2, 0, 1, 4, 4])
CLASS_OF_CAPTION = np.array([0, 0, 2, 2, 1, 2, 2, 2, 0, 4, 3, 3])


def batches(slack=2, **options):
    return MixedBatches(Images(5), Texts(slack=slack), CLASS_OF_IMAGE, CLASS_OF_CAPTION, **options)


def items(batch):
    """What each row of a batch says it is: (kind, index, form), and its class."""
    found = []
    for picture, text in zip(batch["inputs"], batch["is_text"], strict=True):
        if text:
            found.append(("text", int(picture[0, 1, 1]) - 100, tuple(picture[1:, 1, 1].tolist())))
        else:
            form = "mirror" if int(picture[0, 0, -1]) == 200 else "plain"
            found.append(("image", int(picture[0, 1, 1]), form))
    return list(zip(found, batch["classes"].tolist(), strict=True))


def expected_items(forms):
    """Every item of an epoch, crops left out, by loops."""
    out = []
    for i, c in enumerate(CLASS_OF_IMAGE.tolist()):
        out += [(("image", i, form), c) for form in (("plain", "mirror") if forms == (2, 2) else ("plain",))]
    for i, c in enumerate(CLASS_OF_CAPTION.tolist()):
        out += [(("text", i), c)] * (2 if forms == (2, 2) else 1)
    return sorted(out, key=str)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("forms", [(1, 1), (2, 2)])
@pytest.mark.parametrize("size", [3, 45])
def test_an_epoch_has_every_item_once(forms, size, together):
    source = batches(forms=forms, batch_size=size, seed=3, together=together)
    for epoch in range(3):
        made = list(source(epoch))
        assert len(made) == len(source(epoch))
        rows = [(i[:2] if i[0] == "text" else i, c) for batch in made for i, c in items(batch)]
        assert sorted(rows, key=str) == expected_items(forms)


def test_a_group_stays_together_and_batches_count_groups():
    made = list(batches(batch_size=2, together=True)(0))
    assert [len(batch["classes"].unique()) for batch in made] == [2, 2, 1]
    assert set.union(*(set(batch["classes"].tolist()) for batch in made)) == {0, 1, 2, 3, 4}


def test_a_batch_of_pictures_has_as_many_images_as_any_other():
    classes = np.arange(30)
    source = MixedBatches(Images(30), Texts(), classes, np.repeat(classes, 5), batch_size=45)
    for epoch in range(3):
        made = list(source(epoch))
        assert [len(batch["is_text"]) for batch in made] == [45] * 4
        assert {int((~batch["is_text"]).sum()) for batch in made} == {7, 8}
    first, second = (torch.cat([batch["captions"] for batch in source(epoch)]) for epoch in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(150))
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("each", [1, 2])
def test_of_each_group_so_many_images_and_captions_are_drawn_anew(each, together):
    source, kinds = batches(forms=(2, 1), together=together, each=each), set()
    for epoch in range(30):
        found = [one for batch in source(epoch) for one in items(batch)]
        for group in range(5):
            for kind, classes in (("image", CLASS_OF_IMAGE.repeat(2)), ("text", CLASS_OF_CAPTION)):
                count = sum(item[0] == kind and one == group for item, one in found)
                assert count == min(each, (classes == group).sum())
        kinds |= {item for item, _ in found}
    assert len(kinds) == 2 * len(CLASS_OF_IMAGE) + len(CLASS_OF_CAPTION)  # each in one epoch or another


def test_images_of_another_side_are_cropped_at_random():
    images = Images(5, 12)
    images.pixels = torch.randint(0, 256, images.pixels.shape, dtype=torch.uint8)
    source = MixedBatches(images, Texts(), CLASS_OF_IMAGE, CLASS_OF_CAPTION, each=1)
    made = [next(iter(source(epoch)))["inputs"][:4] for epoch in (0, 0, 1)]
    assert made[0].shape == (4, 3, SIDE, SIDE)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0].sum(), made[2].sum())


def test_images_come_first_and_captions_are_named():
    for batch in batches(forms=(2, 2), batch_size=3)(1):
        count = int((~batch["is_text"]).sum())
        assert not batch["is_text"][:count].any()
        assert batch["captions"].tolist() == [item[1] for item, _ in items(batch)[count:]]
        assert batch["inputs"].dtype == torch.uint8
        assert batch["inputs"].is_contiguous(memory_format=torch.channels_last)


def test_standard_takes_the_middle_crop_and_config_2_two_that_differ():
    assert {i[2] for b in batches()(0) for i, _ in items(b) if i[0] == "text"} == {(255, 255)}
    source = batches(forms=(2, 2), slack=1)
    places = set()
    for epoch in range(20):
        crops = source.crops(epoch)
        assert crops.shape == (12, 2, 2)
        assert crops.min() >= 0
        assert crops.max() <= 1
        assert (crops[:, 0] != crops[:, 1]).any(1).all()
        shown = {i[1:] for b in source(epoch) for i, _ in items(b) if i[0] == "text"}
        assert shown == {(i, tuple(crop)) for i, pair in enumerate(crops.tolist()) for crop in pair}
        places |= {tuple(crop) for crop in crops.reshape(-1, 2).tolist()}
    assert places == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_batches_are_a_function_of_seed_and_epoch():
    def made(seed, epoch):
        given = {"forms": (2, 2), "batch_size": 2, "seed": seed, "each": 2}
        return [items(batch) for batch in batches(**given)(epoch)]

    assert made(0, 1) == made(0, 1)
    assert made(0, 1) != made(0, 2)
    assert made(0, 1) != made(1, 1)
    # The order and the crops, each by itself.
    source, other = batches(forms=(2, 2), seed=0), batches(forms=(2, 2), seed=1)
    for plan in (source.plan(2), other.plan(1)):
        assert plan[0][0].tolist() != source.plan(1)[0][0].tolist()
    for crops in (source.crops(2), other.crops(1)):
        assert not np.array_equal(crops, source.crops(1))


def test_what_does_not_fit_is_named():
    with pytest.raises(ConfigError, match="images=3"):
        batches(forms=(3, 1))
    with pytest.raises(ConfigError, match="captions=0"):
        batches(forms=(1, 0))
    with pytest.raises(ConfigError, match="slack=0: expected an integer of 1"):
        batches(forms=(2, 2), slack=0)


def test_drawn_texts_say_how_far_they_can_be_cropped():
    vectors = np.random.default_rng(0).normal(size=(9, 12))
    vectors[0] = 0
    drawn = TextImage.fit(vectors, side=24, canvas=30, superpixel=2, separator=1)
    codes = np.random.default_rng(1).integers(1, 9, (6, 4))
    source = MixedBatches(Images(2, 24), drawn.lazy(codes), np.arange(2), np.arange(6) // 3, forms=(2, 2))
    (batch,) = source(4)
    texts = batch["inputs"][batch["is_text"]]
    crops = source.crops(4)
    for picture, caption in zip(texts, batch["captions"].tolist(), strict=True):
        both = drawn.encode(codes[[caption] * 2], crops[caption])
        assert any(np.array_equal(picture, one) for one in both)
    assert len(texts.flatten(1).unique(dim=0)) == 12


class Tiny(nn.Module):
    """A net that is quick: uint8 pictures to embeddings with a batch norm, as the large one ends."""

    def __init__(self, dim=6, side=SIDE):
        super().__init__()
        self.dim = dim
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * side * side, dim), nn.Dropout(0.1))
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, pictures, is_text):
        return self.norm(self.layers((pictures.float() / 255 - 0.5) / 0.5))


class Bare(nn.Module):
    """A net without weights, so that autocast has nothing to change in it."""

    dim = 3 * SIDE * SIDE

    def forward(self, pictures, is_text):
        return pictures.flatten(1) / 255


def drawn_batch(classes=3, count=9):
    torch.manual_seed(0)
    return {
        "inputs": torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8),
        "classes": torch.arange(count) % classes,
        "is_text": torch.arange(count) >= count // 3,
    }


def test_the_loss_is_softmax_plus_weighted_centre():
    batch = drawn_batch()
    objective = SingleObjective(Tiny(), classes=3, weight=0.25).eval()
    objective.centre.centres.normal_()
    out = objective(batch)
    features = objective.net(batch["inputs"], batch["is_text"])
    logits = objective.softmax.classifier(features)
    torch.testing.assert_close(out["softmax"], F.cross_entropy(logits, batch["classes"]))
    centre = centre_loss(features, batch["classes"], objective.centre.centres, "mean")
    torch.testing.assert_close(out["centre"], centre)
    torch.testing.assert_close(out["loss"], out["softmax"] + 0.25 * centre)
    wrong = (logits.argmax(1) != batch["classes"]).float()
    assert float(out["error"]) == pytest.approx(float(wrong.mean()))
    assert float(out["text_error"]) == pytest.approx(float(wrong[batch["is_text"]].mean()))
    features = features.detach()
    mean = features.mean(0)
    squares = [float((row - mean).square().sum()) for row in features]
    assert float(out["spread"]) == pytest.approx((sum(squares) / len(squares)) ** 0.5, rel=1e-5)
    variances = np.linalg.eigvalsh(np.cov(features.numpy().astype(float).T))
    ratio = sum(variances) ** 2 / sum(v**2 for v in variances)
    assert float(out["directions"]) == pytest.approx(ratio, rel=1e-4)
    alone = SingleObjective(Tiny(), classes=3, weight=0.25, softmax=False)(batch)
    assert set(alone) == {"loss", "centre", "spread", "directions"}
    assert torch.equal(alone["loss"], alone["centre"])


def test_with_a_scale_the_softmax_is_of_the_cosine_and_centres_lie_at_its_length():
    batch, scale = drawn_batch(), 7.0
    objective = SingleObjective(Tiny(), classes=3, weight=0.25, scale=scale).double().eval()
    objective.centre.centres.normal_()
    with torch.no_grad():
        objective.softmax.classifier.weight.mul_(torch.tensor([[0.1], [3.0], [20.0]]))
    features = np.random.default_rng(0).normal(size=(9, 6))
    weights = objective.softmax.classifier.weight.detach().numpy()
    softmax = centre = 0.0
    for row, group in zip(features, batch["classes"].tolist(), strict=True):
        row = scale * row / np.linalg.norm(row)
        logits = np.array([row @ one / np.linalg.norm(one) for one in weights])
        softmax -= logits[group] - np.log(np.exp(logits).sum())
        centre += 0.5 * ((row - objective.centre.centres[group].numpy()) ** 2).sum()
    with torch.no_grad():
        out = objective.loss(torch.from_numpy(features), batch)
    assert float(out["softmax"]) == pytest.approx(softmax / 9)
    assert float(out["loss"]) == pytest.approx((softmax + 0.25 * centre) / 9)


def test_centres_follow_in_training_only_and_after_the_loss():
    batch = drawn_batch()
    objective = SingleObjective(Tiny(), classes=4).eval()
    objective(batch)
    assert not objective.centre.centres.any()
    objective.train()
    objective.net.layers[2].p = 0.0
    features = objective.net(batch["inputs"], batch["is_text"])
    out = objective(batch)
    torch.testing.assert_close(out["centre"], 0.5 * features.pow(2).sum(1).mean())
    for group in range(3):
        rows = features[batch["classes"] == group]
        torch.testing.assert_close(objective.centre.centres[group], 0.05 * rows.sum(0) / (1 + len(rows)))
    assert not objective.centre.centres[3].any()


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_bad_weights(bad):
    with pytest.raises(ConfigError, match="weight="):
        SingleObjective(Tiny(), classes=3, weight=bad)


def test_autocast_keeps_losses_in_float32():
    objective = SingleObjective(Tiny(), classes=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = objective(drawn_batch())
    assert {value.dtype for value in out.values()} == {torch.float32}
    plain = SingleObjective(Bare(), classes=3)(drawn_batch())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = SingleObjective(Bare(), classes=3)(drawn_batch())
    for name in ("centre", "spread", "directions"):
        assert torch.equal(plain[name], cast[name]), name
    assert objective.centre.centres.dtype == torch.float32
    assert objective.centre.centres.any()


def train(folder, epochs, stop=None, softmax=True):
    torch.manual_seed(0)
    objective = SingleObjective(Tiny(), classes=5, softmax=softmax)
    source = batches(forms=(2, 2), batch_size=2, seed=1, together=True)

    def until(epoch):
        if epoch == stop:
            raise KeyboardInterrupt
        return source(epoch)

    recipe = Recipe(epochs=epochs, lr=0.02, weight_decay=0.0)
    return objective, fit(make_fabric("cpu"), objective, recipe, until, folder, seed=4)


def test_a_resumed_run_ends_with_the_same_numbers(tmp_path):
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole, curves = train(tmp_path / "whole", 6)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", 6, stop=3)
    resumed, again = train(tmp_path / "broken", 6)
    assert curves.equals(again)
    assert resumed.centre.centres.any()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_centre_loss_alone_collapses_and_softmax_keeps_classes_apart(tmp_path):
    for name in ("alone", "both"):
        (tmp_path / name).mkdir()
    _, alone = train(tmp_path / "alone", 40, softmax=False)
    _, both = train(tmp_path / "both", 40)
    assert alone["spread"].iloc[-1] < 0.02 * alone["spread"].iloc[0]
    assert alone["loss"].iloc[-1] < 0.02 * alone["loss"].iloc[0]
    assert both["spread"].iloc[-1] > 20 * alone["spread"].iloc[-1]


@pytest.mark.parametrize("scale", [0.0, 16.0])
def test_one_network_learns_images_and_texts_of_a_tiny_set(tmp_path, scale):
    torch.manual_seed(0)
    net = InceptionResNetV1(dim=16, width=0.125, blocks=(0, 1, 0), keep=1.0)
    if scale:
        net = PictureCNN(load_backbone("efficientnet_lite0"), dim=16)
    net = PictureNets(net)
    images = Images(4, 75)
    images.pixels = torch.randint(0, 256, images.pixels.shape, dtype=torch.uint8)
    vectors = np.random.default_rng(0).normal(size=(13, 12)) * (np.arange(13) > 0)[:, None]
    texts = TextImage.fit(vectors, side=75, superpixel=5).lazy(np.arange(1, 13).reshape(4, 3))
    source = MixedBatches(images, texts, np.arange(4), np.arange(4), batch_size=8)
    objective = SingleObjective(net, classes=4, scale=scale)
    objective.centre.rate = 0.5
    recipe = Recipe(epochs=40, lr=5e-3, weight_decay=0.0)
    curves = fit(make_fabric("cpu"), objective, recipe, source, tmp_path)
    assert curves["error"].iloc[-1] == 0
    assert curves["loss"].iloc[-1] < 0.2 * curves["loss"].iloc[0]
    with torch.no_grad():  # batch norm by the batch: forty steps do not settle the running statistics
        (batch,) = source(0)
        found = F.normalize(objective.embed(batch))
    distances = torch.cdist(found[~batch["is_text"]], found[batch["is_text"]])
    right = batch["classes"][~batch["is_text"]][:, None] == batch["classes"][batch["is_text"]]
    assert right[torch.arange(4), distances.argmin(1)].all()
    assert right[distances.argmin(0), torch.arange(4)].all()
