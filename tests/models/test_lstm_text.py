"""The BiLSTM text side: against explicit loops, each read-out, word vectors as a start, dropout, learning."""

import numpy as np
import pytest
import torch

from imtext.errors import ConfigError
from imtext.models import LSTMText, vse
from imtext.text import Vocabulary, WordVectors

READOUTS = ("halves", "last", "released")
CODES = torch.tensor([[3, 1, 4, 1, 5], [2, 0, 0, 0, 0], [6, 6, 0, 0, 0], [0, 0, 0, 0, 0], [5, 2, 3, 0, 0]])
PAPER = {"words": 1000, "word_dim": 300, "dim": 1024}


def small(readout="halves", **options):
    torch.manual_seed(0)
    net = LSTMText(6, word_dim=3, dim=4, readout=readout, **options).double().eval()
    with torch.no_grad():  # biases as they are after training, which zeros at the start would hide
        for name, values in net.rnn.named_parameters():
            if "bias" in name:
                values.uniform_(-0.5, 0.5)
    return net


def states_after(rnn, words, ending):
    """The LSTM's state after each word in turn (Hochreiter and Schmidhuber, 1997, with a forget gate)."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    from_word, from_state, bias, more = (getattr(rnn, f"{name}_l0{ending}").detach() for name in names)
    size = rnn.hidden_size
    h, cell, states = [0.0] * size, [0.0] * size, []
    for word in words:
        gates = from_word @ word + bias + from_state @ torch.tensor(h, dtype=torch.float64) + more
        for unit in range(size):
            enter, keep, new, leave = (gates[gate * size + unit] for gate in range(4))
            cell[unit] = float(torch.sigmoid(keep) * cell[unit] + torch.sigmoid(enter) * torch.tanh(new))
            h[unit] = float(torch.sigmoid(leave) * np.tanh(cell[unit]))
        states.append(torch.tensor(h, dtype=torch.float64))
    return states


def naive(net, codes):
    """One caption at a time."""
    rows = []
    for row in codes:
        words = [net.word.weight[code].detach() for code in row.tolist() if code]
        if not words:
            rows.append(torch.zeros(net.dim, dtype=torch.float64))
            continue
        forward = states_after(net.rnn, words, "")
        backward = states_after(net.rnn, words[::-1], "_reverse")  # backward[0] has read the last word alone
        if net.readout == "halves":
            feature = (forward[-1] + backward[-1]) / 2
        elif net.readout == "released":
            feature = (forward[-1] + backward[0]) / 2
        else:
            feature = torch.cat([forward[-1], backward[-1]])
        rows.append(feature / feature.norm())
    return torch.stack(rows)


@pytest.mark.parametrize("readout", READOUTS)
def test_equals_loops(readout):
    net = small(readout)
    assert net(CODES).shape == (5, 4)
    assert torch.allclose(net(CODES), naive(net, CODES), rtol=0, atol=1e-12)


def test_readouts_differ_and_agree_where_they_must():
    halves, released = small("halves"), small("released")
    released.load_state_dict(halves.state_dict())
    a, b = halves(CODES), released(CODES)
    one_word = torch.tensor([False, True, False, True, False])
    assert torch.allclose(a[one_word], b[one_word], atol=1e-14)  # the first word is the last
    assert ((a - b).abs().amax(1) > 1e-3)[~one_word].all()


def test_the_released_backward_half_knows_the_last_word_alone():
    codes = torch.tensor([[1, 2, 3, 4], [5, 6, 1, 4]])
    net = small("released")
    with torch.no_grad():  # a forward half that says nothing
        for name, values in net.rnn.named_parameters():
            if not name.endswith("_reverse"):
                values.zero_()
    first, second = net(codes)
    assert torch.equal(first, second) and first.any()
    net.readout = "halves"
    first, second = net(codes)
    assert not torch.allclose(first, second, atol=1e-3)


@pytest.mark.parametrize(("readout", "hidden"), [("halves", 1024), ("last", 512), ("released", 1024)])
def test_sizes_and_start_are_the_papers(readout, hidden):
    torch.manual_seed(3)
    net = LSTMText(**PAPER, readout=readout)
    assert (net.dim, net.rnn.num_layers, net.rnn.hidden_size) == (1024, 1, hidden)
    assert sum(p.numel() for p in net.parameters()) == 1001 * 300 + 2 * 4 * hidden * (300 + hidden + 2)
    for name, values in net.rnn.named_parameters():
        if values.dim() == 1:
            assert not values.any(), name
        else:
            bound = (6 / sum(values.shape)) ** 0.5  # Glorot and Bengio, Eq. 16
            assert 0.999 * bound < values.abs().max() <= bound, name
            assert abs(values.std().item() / (bound / 3**0.5) - 1) < 0.01, name
    assert 0.0999 < net.word.weight.abs().max() <= 0.1
    assert LSTMText(5).dropout.p == 0.5 and LSTMText(5).readout == "halves"
    assert not list(vse(net, image_dim=2048).text_head.parameters())


def test_words_start_from_vectors_and_learn():
    glove = WordVectors(["dog", "cat"], [[1.0, 2.0, 3.0], [-4.0, 5.0, 6.0]])
    words = Vocabulary(["dog", "emu", "cat"], unknown=True)
    start = words.matrix(glove, missing=np.nan)[1:]
    assert np.isnan(start).all(1).tolist() == [False, True, False, True]
    assert not words.matrix(glove, missing=np.nan)[0].any()  # padding is no missing word
    torch.manual_seed(4)
    plain = LSTMText(4, word_dim=3, dim=4, dropout=0)
    torch.manual_seed(4)
    net = LSTMText(4, word_dim=3, dim=4, dropout=0, vectors=start)
    weight = net.word.weight.detach().clone()
    assert weight[1].tolist() == [1, 2, 3] and weight[3].tolist() == [-4, 5, 6] and not weight[0].any()
    for row in (2, 4):  # words without a vector
        assert torch.equal(weight[row], plain.word.weight[row]) and weight[row].any()
    for ours, theirs in zip(net.rnn.parameters(), plain.rnn.parameters(), strict=True):
        assert torch.equal(ours, theirs)  # the vectors change nothing else
    net(torch.tensor([[1, 2, 3, 4]])).sum().backward()
    torch.optim.SGD(net.parameters(), lr=1.0).step()
    assert (net.word.weight[1:] != weight[1:]).any(1).all() and not net.word.weight[0].any()


def test_vectors_of_other_types():
    for dtype in (np.float64, np.float16, np.int64):
        net = LSTMText(2, word_dim=2, dim=2, vectors=np.array([[3, 4], [5, 6]], dtype=dtype))
        assert net.word.weight.dtype == torch.float32
        assert net.word.weight[1:].tolist() == [[3, 4], [5, 6]]
    assert LSTMText(1, word_dim=2, dim=2, vectors=np.full((1, 2), np.nan)).word.weight[1].any()


def test_odd_vectors_are_named():
    for shape in ((6, 3), (5, 4), (5,), (0, 3)):
        with pytest.raises(ConfigError, match=r"vectors must have shape \(5, 3\).*found \("):
            LSTMText(5, word_dim=3, dim=4, vectors=np.zeros(shape))
    for value in (np.inf, 1e300):
        vectors = np.zeros((5, 3))
        vectors[0], vectors[3, 1] = np.nan, value
        with pytest.raises(ConfigError, match="with 1 infinite number"):
            LSTMText(5, word_dim=3, dim=4, vectors=vectors)


def test_a_number_that_is_nan_leaves_its_own_at_random():
    start = np.array([[1, np.nan], [np.nan, np.nan]])
    torch.manual_seed(0)
    plain = LSTMText(2, word_dim=2, dim=2).word.weight
    torch.manual_seed(0)
    found = LSTMText(2, word_dim=2, dim=2, vectors=start).word.weight
    assert found[1, 0] == 1 and found[1, 1] == plain[1, 1] and torch.equal(found[2], plain[2])


def test_dropout_falls_on_the_word_vectors_in_training_alone():
    net = small(dropout=0.4).train()
    seen = []
    net.rnn.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].data))
    codes = torch.randint(1, 7, (400, 9))
    net(codes)
    net.eval()(codes)
    dropped, whole = seen
    assert whole.all() and abs((dropped == 0).double().mean() - 0.4) < 0.02
    assert torch.allclose(dropped, torch.where(dropped == 0, 0.0, whole / 0.6))
    assert torch.equal(net(CODES), net(CODES))
    certain = small(dropout=0).train()
    assert torch.equal(certain(CODES), certain.eval()(CODES))


@pytest.mark.parametrize(
    "options",
    [
        {"words": 0},
        {"word_dim": 0},
        {"dim": 0},
        {"readout": "first"},
        {"dropout": 1},
        {"dropout": -0.1},
        {"dropout": float("nan")},
    ],
)
def test_bad_arguments(options):
    with pytest.raises(ConfigError, match=f"{next(iter(options))}=.*: expected"):
        LSTMText(**{"words": 5, **options})


def test_an_odd_dim_has_no_halves_to_join():
    with pytest.raises(ConfigError, match="dim=5: .*even"):
        LSTMText(5, 3, dim=5, readout="last")
    for readout in ("halves", "released"):
        assert LSTMText(5, 3, dim=5, readout=readout)(CODES[:1]).shape == (1, 5)
