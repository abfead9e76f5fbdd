"""CCA against explicit matrices, the generalised eigenproblem and scikit-learn; bad input; the choice."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.linalg import eigh
from sklearn.cross_decomposition import CCA as NipalsCCA

from imtext.errors import ConfigError, DataError
from imtext.models import cca as module
from imtext.models.cca import CCA, choose_cca
from imtext.retrieval import evaluate


def views(seed=0, n=40, m=120, dx=7, dy=9, noise=0.5):
    """Images and captions that share three hidden numbers; every image has at least one caption."""
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.concatenate([np.arange(n), rng.integers(0, n, m - n)]))
    hidden = rng.standard_normal((n, 3))
    images = hidden @ rng.standard_normal((3, dx)) + noise * rng.standard_normal((n, dx)) + 2
    captions = hidden[owner] @ rng.standard_normal((3, dy)) + noise * rng.standard_normal((m, dy)) - 1
    return images, captions, owner


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def naive(images, captions, eta):
    """Eigenvalues and eigenvectors of the generalised problem over rows that stand side by side."""
    x, y = (rows - rows.mean(0) for rows in (unit(images), unit(captions)))
    dx, dy = x.shape[1], y.shape[1]
    cross = x.T @ y / len(x)
    left = np.block([[np.zeros((dx, dx)), cross], [cross.T, np.zeros((dy, dy))]])
    right = np.zeros_like(left)
    right[:dx, :dx] = x.T @ x / len(x) + eta * np.eye(dx)
    right[dx:, dx:] = y.T @ y / len(x) + eta * np.eye(dy)
    values, vectors = eigh(left, right)
    best = np.argsort(-values)[: min(dx, dy)]
    return values[best], vectors[:dx, best] * np.sqrt(2), vectors[dx:, best] * np.sqrt(2)


@pytest.mark.parametrize("eta", [0.0, 1e-4, 1e-2])
@pytest.mark.parametrize("shape", [(7, 9), (9, 7)])
def test_solves_the_generalised_eigenproblem_of_repeated_rows(eta, shape):
    images, captions, owner = views(dx=shape[0], dy=shape[1])
    cca = CCA(eta=eta).fit(images, captions, owner)
    values, left, right = naive(images[owner], captions, eta)
    assert cca.dim_ == 7
    np.testing.assert_allclose(cca.correlations_, values, rtol=1e-8)
    signs = np.sign((cca.image_weights_ * left).sum(0))
    np.testing.assert_allclose(cca.image_weights_, left * signs, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(cca.caption_weights_, right * signs, rtol=1e-6, atol=1e-7)


def test_embeddings_are_weighted_projections_of_length_one():
    images, captions, owner = views()
    cca = CCA(dim=4, eta=1e-3, power=2.5).fit(images, captions, owner)
    values, left, right = naive(images[owner], captions, 1e-3)
    found = cca.embed_images(images) @ cca.embed_captions(captions).T
    x = (unit(images) - unit(images)[owner].mean(0)) @ left[:, :4] * values[:4] ** 2.5
    y = (unit(captions) - unit(captions).mean(0)) @ right[:, :4] * values[:4] ** 2.5
    np.testing.assert_allclose(found, unit(x) @ unit(y).T, atol=1e-5)
    assert cca.embed_images(images).dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(cca.embed_captions(captions), axis=1), 1, rtol=1e-6)


def test_without_eta_the_correlations_are_those_of_scikit_learn():
    images, captions, owner = views(n=60, m=200, dx=4, dy=5)
    images, captions = unit(images), unit(captions)
    cca = CCA(dim=3, eta=0, power=0).fit(images, captions, owner)
    peer = NipalsCCA(3, scale=False, max_iter=20_000, tol=1e-14).fit(images[owner], captions)
    x, y = peer.transform(images[owner], captions)
    expected = [np.corrcoef(x[:, k], y[:, k])[0, 1] for k in range(3)]
    np.testing.assert_allclose(cca.correlations_, expected, rtol=1e-5)
    z = (images[owner] - cca.image_mean_) @ cca.image_weights_
    np.testing.assert_allclose(z.T @ z / len(z), np.eye(3), atol=1e-9)


def test_an_image_without_captions_changes_nothing():
    images, captions, owner = views()
    more = np.concatenate([images, 9 * np.ones((1, 7))])
    np.testing.assert_allclose(
        CCA().fit(more, captions, owner).correlations_, CCA().fit(images, captions, owner).correlations_
    )


def test_pairs_many_to_many():
    images, captions, _ = views()
    rng = np.random.default_rng(1)
    pairs = np.stack([rng.integers(0, 40, 300), rng.integers(0, 120, 300)], axis=1)
    pairs = np.concatenate([pairs, pairs[:50], pairs[:20]])  # some count two or three times
    cca = CCA(eta=1e-3).fit(images, captions, pairs)
    values, *_ = naive(images[pairs[:, 0]], captions[pairs[:, 1]], 1e-3)
    np.testing.assert_allclose(cca.correlations_, values, rtol=1e-7)


def test_sparse_features_and_small_blocks_change_nothing(monkeypatch):
    images, captions, owner = views(n=200, m=500)
    images[images < 2], captions[captions < 0] = 0, 0
    captions[3] = 0  # a caption with no known word
    dense = CCA(eta=1e-2).fit(images, captions, owner)
    monkeypatch.setattr(module, "_NUMBERS", 1)
    for x in (images, sparse.csr_matrix(images)):
        for y in (captions, sparse.csc_array(captions)):
            cca = CCA(eta=1e-2).fit(x, y, owner)
            np.testing.assert_allclose(cca.correlations_, dense.correlations_, rtol=1e-8)
            np.testing.assert_allclose(cca.embed_images(x), dense.embed_images(images), atol=1e-5)
            np.testing.assert_allclose(cca.embed_captions(y), dense.embed_captions(captions), atol=1e-5)


def test_the_kind_of_array_does_not_matter(tmp_path):
    images, captions, owner = views()
    np.save(tmp_path / "x.npy", images.astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = CCA().fit(images.astype(np.float32), captions, owner).correlations_
    for x in (mapped, torch.tensor(images, dtype=torch.float32)):
        found = CCA().fit(x, torch.tensor(captions), torch.tensor(owner)).correlations_
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_eta_means_the_same_at_any_scale():
    images, captions, owner = views()
    one = CCA(eta=1e-2).fit(images, captions, owner)
    other = CCA(eta=1e-2).fit(1000 * images, captions / 1000, owner)
    np.testing.assert_allclose(one.correlations_, other.correlations_)
    assert CCA(eta=1e-1).fit(images, captions, owner).correlations_[0] < one.correlations_[0] < 1


def test_more_columns_than_rows_and_constant_columns():
    images, captions, owner = views(n=10, m=30, dx=50, dy=40)
    images[:, 0] = 0
    cca = CCA(dim=512).fit(images, captions, owner)
    assert cca.dim_ == 9  # ten centred images span no more
    assert np.isfinite(cca.embed_images(images)).all()
    with pytest.raises(ConfigError, match=r"eta=0: .* images is singular \(fewer .* column\); take a larger"):
        CCA(eta=0).fit(images, captions, owner)
    with pytest.raises(ConfigError, match=r"eta=0: .* captions is singular"):
        CCA(eta=0).fit(images[:, 1:6], captions, owner)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_numbers_that_are_none(bad, kind):
    images, captions, owner = views()
    broken = captions.copy()
    broken[70, 2] = bad
    with pytest.raises(DataError, match="captions: row 70 holds NaN, infinity or"):
        CCA().fit(images, kind(broken), owner)
    with pytest.raises(DataError, match="captions: row 70 holds NaN"):
        CCA().fit(images, captions, owner).embed_captions(kind(broken))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0}, "dim=0: expected an integer"),
        ({"dim": 2.0}, "dim=2.0: expected"),
        ({"eta": -1e-9}, "eta=-1e-09: expected a number of at least 0"),
        ({"eta": float("nan")}, "eta=nan: expected"),
        ({"power": float("inf")}, "power=inf: expected"),
    ],
)
def test_parameters_out_of_range(arguments, message):
    with pytest.raises(ConfigError, match=message):
        CCA(**arguments)


def test_data_that_do_not_fit():
    images, captions, owner = views()
    for x, y, message in [
        (images[0], captions, r"images: expected numbers \(rows, columns\), found float64"),
        (images[:, :0], captions, "images: expected numbers"),
        (images, captions.astype(str), "captions: expected numbers"),
        (images, np.ones_like(captions), "captions: all rows are equal"),
        (images, sparse.csr_matrix(np.ones_like(captions)), "captions: all rows are equal"),
        (images, 0 * captions, "captions: all rows are equal"),
        (images, captions[:5], r"expected image_of_caption \(5,\) or pairs .* int64 \(120,\)"),
        (images[:5], captions, "below 5 for images and 120 for captions"),
    ]:
        with pytest.raises(DataError, match=message):
            CCA().fit(x, y, owner)
    for pairs in ([[0, 0, 0]] * 3, [0, 1], [[0.5, 1.0]] * 3, [[0, 0]], [[0, 0], [1, 120]], [[0, 0], [-1, 1]]):
        with pytest.raises(DataError, match=r"or pairs \(P, 2\), two or more, in whole numbers"):
            CCA().fit(images, captions, pairs)
    with pytest.raises(DataError, match="do not correlate"):
        CCA().fit(np.eye(2), np.eye(2), [[0, 0], [0, 1], [1, 0], [1, 1]])
    with pytest.raises(ConfigError, match="call fit or load first"):
        CCA().embed_images(images)
    with pytest.raises(DataError, match="images: expected 7 columns as in fit, found 9"):
        CCA().fit(images, captions, owner).embed_images(captions)


def test_saved_and_loaded(tmp_path):
    images, captions, owner = views()
    cca = CCA(dim=5, eta=3e-4, power=1.5).fit(images, captions, owner)
    cca.save(tmp_path / "cca.safetensors")
    loaded = CCA.load(tmp_path / "cca.safetensors")
    assert (loaded.dim, loaded.eta, loaded.power) == (5, 3e-4, 1.5)
    np.testing.assert_array_equal(loaded.embed_images(images), cca.embed_images(images))
    np.testing.assert_array_equal(loaded.embed_captions(captions), cca.embed_captions(captions))
    assert [file.name for file in tmp_path.iterdir()] == ["cca.safetensors"]
    with pytest.raises(DataError, match="cannot be written"):
        cca.save(tmp_path / "nowhere" / "cca.safetensors")


def test_the_choice_is_the_best_of_the_grid_and_a_plain_fit():
    images, captions, owner = views(n=150, m=300, dx=20, dy=30, noise=1.0)
    train, val = owner < 100, owner >= 100
    fitted, held = (images[:100], captions[train], owner[train]), (images[100:], captions[val])

    def score(x, y):
        return evaluate(x, y, owner[val] - 100).rsum

    best, tried = choose_cca(fitted, held, score, (1e-4, 1e-2), (0, 2), dim=12)
    assert len(tried) == 4 and len({row["score"] for row in tried}) == 4
    for row in tried:
        plain = CCA(row["dim"], row["eta"], row["power"]).fit(*fitted)
        found = score(plain.embed_images(held[0]), plain.embed_captions(held[1]))
        assert found == pytest.approx(row["score"], abs=2.1)  # ties may part at float32
    top = max(tried, key=lambda row: row["score"])
    assert (best.eta, best.power, best.dim_) == (top["eta"], top["power"], 12)
    plain = CCA(12, best.eta, best.power).fit(*fitted)
    np.testing.assert_allclose(best.embed_images(images), plain.embed_images(images), atol=1e-5)


def test_the_first_of_equal_scores_is_chosen():
    images, captions, owner = views()
    seen = []

    def score(x, y):
        seen.append((x.shape, y.shape))
        return -len(seen) // 2

    best, tried = choose_cca((images, captions, owner), (images, captions), score, (1e-3, 1e-2), (1, 3))
    assert seen == [((40, 7), (120, 7))] * 4
    assert [row["score"] for row in tried] == [-1, -1, -2, -2] and (best.eta, best.power) == (1e-3, 1)
    with pytest.raises(ConfigError, match="number of etas and powers=0"):
        choose_cca((images, captions, owner), (images, captions), score, etas=())
    with pytest.raises(ConfigError, match="power=-1: expected"):
        choose_cca((images, captions, owner), (images, captions), score, powers=(1, -1))
