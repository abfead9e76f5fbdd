"""The text CNN and the dual-path network: shapes, sizes, and that they can learn."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from imtext.errors import ConfigError
from imtext.losses import InstanceLoss
from imtext.models import TextCNN, dual_path
from imtext.models.text_cnn import PositionConv
from imtext.training import DualPathObjective

# The released plan: inputs, channels inside, outputs and stride of every block.
PLAN = [
    *[(300, 128, 256, 1), (256, 64, 256, 1), (256, 64, 256, 1)],
    *[(256, 512, 512, 2), (512, 128, 512, 1), (512, 128, 512, 1), (512, 128, 512, 1)],
    *[(512, 1024, 1024, 2), *[(1024, 256, 1024, 1)] * 5],
    (1024, 2048, 2048, 1),
]


def weights(module):
    return sum(p.numel() for p in module.parameters())


def test_the_text_cnn_has_the_sizes_of_the_released_plan():
    net = TextCNN(20074)
    for number, (block, (inputs, inner, outputs, stride)) in enumerate(zip(net.stages, PLAN, strict=True)):
        assert block.reduce.weight.shape == (inner, inputs), number
        assert block.pair.weight.shape == (inner, 2 * inner), number
        assert block.expand.weight.shape == (outputs, inner), number
        assert block.pair.stride == stride, number
        if number in (0, 3, 7, 13):
            assert block.shortcut.weight.shape == (outputs, inputs)
    found = [weights(net.stages[number]) for number in (3, 7, 13)]
    assert found == [1_052_672, 4_202_496, 16_793_600]
    assert weights(net.stages) == 26_102_784
    # The row of the padding is ours.
    assert weights(net) == 32_125_884 + 300
    assert net.dim == 2048


def test_the_deeper_text_cnn_has_more_of_the_same_blocks():
    net = TextCNN(10, depth=152)
    assert len(net.stages) == 48 and weights(net.stages) == 46_517_248


def test_lengths_of_the_stages():
    net = TextCNN(10, word_dim=8, width=0.125)
    x = torch.zeros(2, 32, 8)
    lengths = []
    for block in net.stages:
        x = block(x)
        lengths.append(x.shape[1])
    assert lengths == [32] * 3 + [16] * 4 + [8] * 6 + [8]
    assert net(torch.zeros(2, 56, dtype=torch.long)).shape == (2, net.dim)


@pytest.mark.parametrize(
    ("size", "stride", "length"), [(1, 1, 8), (2, 1, 8), (2, 2, 8), (2, 2, 9), (1, 2, 7)]
)
def test_position_conv_is_a_convolution(size, stride, length):
    torch.manual_seed(0)
    conv = PositionConv(5, 7, size, stride).double().eval()
    x = torch.randn(3, length, 5, dtype=torch.float64)
    kernel = conv.weight.view(7, size, 5).transpose(1, 2)
    expected = F.conv1d(F.pad(x.transpose(1, 2), (size - 1, 0)), kernel, stride=stride).transpose(1, 2)
    assert torch.allclose(conv(x) * (1 + conv.norm.eps) ** 0.5, expected, atol=1e-12)


def test_padding_has_a_word_of_zeros_that_never_learns():
    net = TextCNN(5, word_dim=4, width=0.125)
    net(torch.tensor([[1, 2, 0, 0]] * 2)).sum().backward()
    assert not net.word.weight[0].any()
    assert not net.word.weight.grad[0].any()
    assert net.word_bias.grad is not None


def test_word_vectors_are_the_start_of_the_word_layer():
    vectors = torch.randn(5, 4).numpy()
    net = TextCNN(5, word_dim=4, width=0.125, vectors=vectors)
    assert torch.equal(net.word.weight[1:].detach(), torch.as_tensor(vectors))
    with pytest.raises(ConfigError, match="vectors must have shape"):
        TextCNN(5, word_dim=3, width=0.125, vectors=vectors)


def test_unknown_options_are_named():
    with pytest.raises(ConfigError, match="depth"):
        TextCNN(5, depth=51)
    with pytest.raises(ConfigError, match="pooling"):
        TextCNN(5, pooling="sum")
    with pytest.raises(ConfigError, match="head"):
        dual_path(TextCNN(5, width=0.125), 3, 4, head="deep")


def scrambled(net):
    """Batch norms that are not the identity, in evaluation mode."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return net.double().eval()


def by_hand(layers, x):
    """Linear layers and batch norms from their numbers, a ReLU after each batch norm but the last."""
    for place, layer in enumerate(layers):
        if isinstance(layer, nn.Linear):
            x = x @ layer.weight.T + layer.bias
        else:
            x = (x - layer.running_mean) / (layer.running_var + layer.eps).sqrt() * layer.weight + layer.bias
            x = x if place == len(layers) - 1 else x.clamp_min(0)
    return x


def test_the_released_heads():
    torch.manual_seed(0)
    net = scrambled(dual_path(TextCNN(9, 4, width=0.125), image_dim=6, dim=8, head="released"))
    images, codes = torch.randn(5, 6).double(), torch.randint(1, 10, (5, 12))
    sides = {"image": (net.image_head, images, 4), "text": (net.text_head, net.text(codes), 2)}
    tested, read = (net.embed_images(images), net.embed_captions(codes)), net(images, codes)
    for (head, features, count), test, loss in zip(sides.values(), tested, read, strict=True):
        layers = [layer for layer in head if not isinstance(layer, nn.ReLU)]
        # fc, batch norm; on the image side twice.
        assert [type(layer) for layer in layers] == [nn.Linear, nn.BatchNorm1d] * (count // 2)
        assert torch.allclose(test, by_hand(layers, features))
        assert test.min() < 0 and torch.equal(loss, test.clamp_min(0))


def test_the_classifier_reads_what_the_released_head_gives_after_its_relu():
    torch.manual_seed(0)
    net = dual_path(TextCNN(9, 4, width=0.125), image_dim=6, dim=8, head="released")
    objective = scrambled(DualPathObjective(net, InstanceLoss(8, 4), (0, 1, 1)))
    images, codes, groups = torch.randn(4, 6).double(), torch.randint(1, 10, (4, 12)), torch.arange(4)
    found = objective({"images": images, "codes": codes, "groups": groups})["loss"]
    classify = objective.instance.classifier
    features = net.embed_images(images).clamp_min(0), net.embed_captions(codes).clamp_min(0)
    expected = sum(F.cross_entropy(classify(rows).float(), groups) for rows in features)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)


def test_a_classifier_for_each_side_reads_that_side_alone():
    torch.manual_seed(0)
    net = dual_path(TextCNN(9, 4, width=0.125), image_dim=6, dim=8)
    own = [InstanceLoss(8, 4, dropout=0.0) for _ in range(2)]
    objective = scrambled(DualPathObjective(net, own[0], (0, 1, 0.5), text_instance=own[1])).eval()
    images, codes, groups = torch.randn(4, 6).double(), torch.randint(1, 10, (4, 12)), torch.arange(4)
    found = objective({"images": images, "codes": codes, "groups": groups})["loss"]
    sides = zip((1, 0.5), own, (net.embed_images(images), net.embed_captions(codes)), strict=True)
    expected = sum(weight * loss(rows, groups) for weight, loss, rows in sides)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert not torch.equal(own[0].classifier.weight, own[1].classifier.weight)
    names = {name.split(".")[0] for name in objective.state_dict()}
    assert names == {"net", "instance", "text_instance"}


def test_captions_at_all_positions_are_added_up():
    torch.manual_seed(0)
    text = TextCNN(9, 4, width=0.125)
    nets = [scrambled(dual_path(text, 6, 8, head="released", all_positions=all_)) for all_ in (False, True)]
    nets[1].load_state_dict(nets[0].state_dict())
    codes = torch.tensor([[3, 5, 0, 0, 0], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]])
    places = [[[3, 5, 0, 0, 0], [0, 3, 5, 0, 0], [0, 0, 3, 5, 0], [0, 0, 0, 3, 5]], [[1, 2, 3, 4, 5]]]
    expected = [nets[0].embed_captions(torch.tensor(part)).sum(0) for part in places]
    expected.append(6 * nets[0].embed_captions(codes[2:])[0])
    assert torch.allclose(nets[1].embed_captions(codes), torch.stack(expected))
    # The losses read each caption where it stands.
    images = torch.randn(3, 6).double()
    assert torch.equal(nets[0](images, codes)[1], nets[1](images, codes)[1])


def released_batch(pairs=7):
    """Pairs of which the first three are anchors, and four candidates."""
    torch.manual_seed(1)
    return {
        "images": torch.randn(pairs, 6),
        "codes": torch.randint(1, 10, (pairs, 12)),
        "groups": torch.arange(pairs),
        "candidates": torch.randint(1, 10, (4, 12)),
        "candidate_classes": torch.tensor([8, 9, 8, 7]),
    }


@pytest.mark.parametrize("head", ["paper", "released"])
def test_the_released_negatives_against_loops(head):
    batch = released_batch()
    net = scrambled(dual_path(TextCNN(9, 4, width=0.125), image_dim=6, dim=8, head=head)).float()
    objective = DualPathObjective(net, InstanceLoss(8, 10, dropout=0), (2, 1, 0.5), 0.7, "released").eval()
    images, own = net(batch["images"], batch["codes"])
    _, candidates = net(batch["images"], batch["candidates"])
    rank, codes, classes = 0.0, batch["codes"].clone(), batch["groups"].clone()
    for anchor in range(3):
        scores = [float(F.cosine_similarity(images[anchor], row, dim=0)) for row in candidates]
        hardest = max(range(4), key=scores.__getitem__)
        positive = float(F.cosine_similarity(images[anchor], own[anchor], dim=0))
        other = float(F.cosine_similarity(own[anchor], images[3 + anchor], dim=0))
        rank += max(0.0, 0.7 - (positive - scores[hardest])) + max(0.0, 0.7 - (positive - other))
        codes[3 + anchor], classes[3 + anchor] = (
            batch["candidates"][hardest],
            batch["candidate_classes"][hardest],
        )
    visual = objective.instance(images, batch["groups"])
    textual = objective.instance(net(batch["images"], codes)[1], classes)
    expected = 2 * rank / 7 + float(visual) + 0.5 * float(textual)
    assert float(objective(batch)["loss"].detach()) == pytest.approx(expected, rel=1e-5)


def test_candidates_are_read_as_in_a_test_and_leave_the_batch_norms_alone():
    batch = released_batch()
    net = dual_path(TextCNN(9, 4, width=0.125), image_dim=6, dim=8)
    seen = []
    net.text.register_forward_hook(lambda module, inputs, _: seen.append((module.training, len(inputs[0]))))
    DualPathObjective(net, InstanceLoss(8, 10), (1, 1, 1), negatives="released")(batch)
    assert seen == [(False, 4), (True, 7)]
    assert net.training and net.text.word_norm.training and net.text.word_norm.num_batches_tracked == 1


def test_pixels_need_a_backbone():
    net = dual_path(TextCNN(5, 4, width=0.125), image_dim=6, dim=8)
    with pytest.raises(ConfigError, match="no backbone"):
        net.embed_images(torch.zeros(1, 3, 8, 8))
    net.backbone = nn.Sequential(nn.Conv2d(3, 6, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert net.eval().embed_images(torch.zeros(2, 3, 8, 8)).shape == (2, 8)


@pytest.mark.parametrize("weights", [(0, 1, 1), (1, 0, 0), (1, 1, 1)])
def test_overfits_a_tiny_set(weights):
    torch.manual_seed(0)
    groups = torch.arange(8)
    codes = torch.zeros(8, 16, dtype=torch.long)
    codes[:, :4] = torch.randint(1, 20, (8, 4))
    batch = {"images": torch.randn(8, 12), "codes": codes, "groups": groups}
    net = dual_path(TextCNN(20, 16, width=0.125), image_dim=12, dim=32)
    objective = DualPathObjective(net, InstanceLoss(32, 8, dropout=0.0), weights, margin=0.5)
    optimizer = torch.optim.AdamW(objective.parameters(), 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        objective(batch)["loss"].backward()
        optimizer.step()
    images, captions = net(batch["images"], codes)
    similarity = F.normalize(images, dim=1) @ F.normalize(captions, dim=1).T
    assert (similarity.argmax(1) == groups).all()
    assert (similarity.argmax(0) == groups).all()


def test_objective_reports_errors_only_for_the_losses_it_has():
    net = dual_path(TextCNN(5, 4, width=0.125), image_dim=6, dim=8)
    batch = {
        "images": torch.randn(3, 6),
        "codes": torch.ones(3, 8, dtype=torch.long),
        "groups": torch.arange(3),
    }
    assert set(DualPathObjective(net, InstanceLoss(8, 3), (1, 0, 0))(batch)) == {"loss"}
    assert set(DualPathObjective(net, InstanceLoss(8, 3), (0, 0, 1))(batch)) == {"loss", "text_error"}
    with pytest.raises(ConfigError, match="weights"):
        DualPathObjective(net, InstanceLoss(8, 3), (0, 0, 0))
