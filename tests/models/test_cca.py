"""CCA against explicit matrices, the generalised eigenproblem and scikit-learn; bad input; the choice."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.linalg import eigh
from sklearn.cross_decomposition import CCA as NipalsCCA

from imtext.errors import ConfigError, DataError
from imtext.models import pair_moments
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
    cca = CCA(dim=3, eta=0, power=0, unit_rows=False).fit(images, captions, owner)
    peer = NipalsCCA(3, scale=False, max_iter=20_000, tol=1e-14).fit(images[owner], captions)
    x, y = peer.transform(images[owner], captions)
    expected = [np.corrcoef(x[:, k], y[:, k])[0, 1] for k in range(3)]
    np.testing.assert_allclose(cca.correlations_, expected, rtol=1e-5)
    z = (images[owner] - cca.image_mean_) @ cca.image_weights_
    np.testing.assert_allclose(z.T @ z / len(z), np.eye(3), atol=1e-9)


def test_images_once_are_images_repeated():
    images, captions, owner = views()
    once = CCA().fit(images, captions, owner)
    repeated = CCA().fit(images[owner], captions, np.arange(len(owner)))
    np.testing.assert_allclose(once.correlations_, repeated.correlations_, rtol=1e-9)
    np.testing.assert_allclose(once.image_mean_, repeated.image_mean_)
    np.testing.assert_allclose(once.embed_images(images), repeated.embed_images(images), atol=1e-5)


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
    cca = CCA(eta=1e-3).fit(images, captions, pairs=pairs)
    values, *_ = naive(images[pairs[:, 0]], captions[pairs[:, 1]], 1e-3)
    np.testing.assert_allclose(cca.correlations_, values, rtol=1e-7)


def test_pairs_that_say_what_the_owners_say():
    images, captions, owner = views()
    pairs = np.stack([owner, np.arange(120)], axis=1)[::-1]
    one, two = CCA().fit(images, captions, owner), CCA().fit(images, captions, pairs=pairs)
    np.testing.assert_allclose(one.correlations_, two.correlations_, rtol=1e-10)


@pytest.mark.parametrize("unit_rows", [True, False])
def test_sparse_features_and_small_blocks_change_nothing(monkeypatch, unit_rows):
    images, captions, owner = views(n=200, m=500)
    images[images < 2], captions[captions < 0] = 0, 0
    captions[3] = 0  # a caption with no known word
    dense = CCA(eta=1e-2, unit_rows=unit_rows).fit(images, captions, owner)
    monkeypatch.setattr(pair_moments, "_NUMBERS", 1)
    for x in (images, sparse.csr_matrix(images)):
        for y in (captions, sparse.csc_array(captions)):
            cca = CCA(eta=1e-2, unit_rows=unit_rows).fit(x, y, owner)
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


def test_a_row_like_the_mean_becomes_zeros():
    images, captions, owner = views()
    cca = CCA(unit_rows=False).fit(images, captions, owner)
    assert cca.embed_images(cca.image_mean_[None]).tolist() == [[0] * 7]


def test_more_columns_than_rows_and_constant_columns():
    images, captions, owner = views(n=10, m=30, dx=50, dy=40)
    images[:, 0] = 0
    cca = CCA(dim=512).fit(images, captions, owner)
    assert cca.dim_ == 9  # ten centred images span no more
    assert np.isfinite(cca.embed_images(images)).all()
    with pytest.raises(
        ConfigError, match=r"eta=0: .* images is singular \(column 0 is constant\); take a la"
    ):
        CCA(eta=0, unit_rows=False).fit(images, captions, owner)
    with pytest.raises(ConfigError, match=r"eta=0: .* captions is singular \(30 rows for 40 columns\)"):
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
        ({"dim": 0}, "dim: expected a positive whole number or None, found 0"),
        ({"dim": True}, "dim: expected"),
        ({"dim": 2.0}, "dim: expected"),
        ({"eta": -1e-9}, "eta: expected a finite number of at least 0, found -1e-09"),
        ({"eta": float("nan")}, "eta: expected"),
        ({"eta": "1"}, "eta: expected"),
        ({"eta": [1e-4]}, "eta: expected"),
        ({"power": float("inf")}, "power: expected"),
        ({"power": None}, "power: expected"),
    ],
)
def test_parameters_out_of_range(arguments, message):
    with pytest.raises(ConfigError, match=message):
        CCA(**arguments)


def test_data_that_do_not_fit():
    images, captions, owner = views()
    for x, y, message in [
        (images[0], captions, "images: expected numbers of shape"),
        (images[:, :0], captions, "images: expected numbers"),
        ([[1.0], [1.0, 2.0]], captions, "images: expected numbers"),
        (images, captions.astype(str), "captions: expected numbers"),
        (images, np.ones_like(captions), "captions: all rows are equal"),
        (images, sparse.csr_matrix(np.ones_like(captions)), "captions: all rows are equal"),
        (images, 0 * captions, "captions: all rows are equal"),
        (images, captions[:5], "image_of_caption"),
        (images[:5], captions, "image_of_caption: caption"),
    ]:
        with pytest.raises(DataError, match=message):
            CCA().fit(x, y, owner)
    for pairs in ([[0, 0, 0]], [0, 1], [[0.5, 1.0]], [[0, 1], [1]]):
        with pytest.raises(DataError, match=r"pairs: expected whole numbers of shape \(P, 2\)"):
            CCA().fit(images, captions, pairs=pairs)
    with pytest.raises(DataError, match="pairs: pair 1 names caption 120, but they are numbered 0 to 119"):
        CCA().fit(images, captions, pairs=[[0, 0], [1, 120]])
    with pytest.raises(DataError, match="at least two matching pairs, found 1"):
        CCA().fit(images, captions, pairs=[[0, 0]])
    with pytest.raises(DataError, match="do not correlate"):
        CCA(unit_rows=False).fit(np.eye(2)[:, :1], np.eye(2)[:, :1], pairs=[[0, 0], [0, 1], [1, 0], [1, 1]])
    with pytest.raises(ConfigError, match="found both or neither"):
        CCA().fit(images, captions)
    with pytest.raises(ConfigError, match="found both or neither"):
        CCA().fit(images, captions, owner, pairs=[[0, 0], [1, 1]])
    with pytest.raises(ConfigError, match="call fit or load first"):
        CCA().embed_images(images)
    with pytest.raises(DataError, match="images: expected 7 columns as in fit, found 9"):
        CCA().fit(images, captions, owner).embed_images(captions)


def test_saved_and_loaded(tmp_path):
    images, captions, owner = views()
    cca = CCA(dim=5, eta=3e-4, power=1.5, unit_rows=False).fit(images, captions, owner)
    cca.save(tmp_path / "cca.safetensors")
    loaded = CCA.load(tmp_path / "cca.safetensors")
    assert repr(loaded) == repr(cca) == "CCA(dim=5, eta=0.0003, power=1.5, unit_rows=False)"
    np.testing.assert_array_equal(loaded.embed_images(images), cca.embed_images(images))
    np.testing.assert_array_equal(loaded.embed_captions(captions), cca.embed_captions(captions))
    assert [file.name for file in tmp_path.iterdir()] == ["cca.safetensors"]
    with pytest.raises(DataError, match="cannot be written"):
        cca.save(tmp_path / "nowhere" / "cca.safetensors")
    with pytest.raises(ConfigError, match="call fit or load first"):
        CCA().save(tmp_path / "other")


def test_damaged_files(tmp_path):
    path = tmp_path / "cca.safetensors"
    CCA(dim=2).fit(*views(dx=3, dy=2)).save(path)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for trial in range(600):
        content = bytearray(whole)
        if trial % 2:
            content = content[: rng.integers(0, len(whole))]
        else:
            content[rng.integers(0, len(whole))] = rng.integers(0, 256)
        path.write_bytes(content)
        try:
            CCA.load(path)
        except DataError as error:
            refused += str(path) in str(error)
    assert refused > 400  # a changed digit of a number cannot be noticed
    for absent in (tmp_path, tmp_path / "none"):
        with pytest.raises(
            DataError, match="expected a file of kind imtext-cca-1, found none; save it first"
        ):
            CCA.load(absent)


def test_the_choice_is_the_best_of_the_grid_and_a_plain_fit():
    images, captions, owner = views(n=150, m=300, dx=20, dy=30, noise=1.0)
    train, val = owner < 100, owner >= 100
    parts = (images[:100], captions[train], owner[train], images[100:], captions[val], owner[val] - 100)
    etas, powers, dims = (1e-4, 1e-2), (0, 2), (None, 3)
    best, tried = choose_cca(*parts, etas=etas, powers=powers, dims=dims)
    assert len(tried) == 8 and set(tried.dim) == {20, 3}
    for row in tried.itertuples():
        plain = CCA(row.dim, row.eta, row.power).fit(*parts[:3])
        found = evaluate(plain.embed_images(parts[3]), plain.embed_captions(parts[4]), parts[5]).rsum
        assert found == pytest.approx(row.score, abs=2.1)  # ties may part at float32
    assert len(set(tried.score)) > 4
    top = tried.loc[tried.score.idxmax()]
    assert (best.eta, best.power, best.dim_) == (top.eta, top.power, top.dim)
    plain = CCA(best.dim, best.eta, best.power).fit(*parts[:3])
    np.testing.assert_allclose(best.embed_images(images), plain.embed_images(images), atol=1e-5)


def test_the_choice_by_another_score_and_by_pairs():
    images, captions, owner = views()
    pairs = np.stack([owner, np.arange(120)], axis=1)
    seen = []

    def score(x, y, matches):
        seen.append((x.shape, y.shape, matches is pairs))
        return -len(seen) // 2

    best, tried = choose_cca(
        images, captions, pairs, images, captions, pairs, (1e-3, 1e-2), (1, 3), score=score
    )
    assert seen == [((40, 7), (120, 7), True)] * 4
    assert tried.score.tolist() == [-1, -1, -2, -2] and (best.eta, best.power) == (
        1e-3,
        1,
    )  # the first of equals
    with pytest.raises(ConfigError, match="score: expected a finite number, found nan for CCA"):
        choose_cca(images, captions, owner, images, captions, owner, score=lambda *_: float("nan"))
    with pytest.raises(ConfigError, match="at least one eta, power and dim"):
        choose_cca(images, captions, owner, images, captions, owner, etas=())
    with pytest.raises(ConfigError, match="power: expected"):
        choose_cca(images, captions, owner, images, captions, owner, powers=(1, -1))
