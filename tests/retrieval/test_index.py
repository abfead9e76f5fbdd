"""Rows near a query by an index of FAISS: as many as asked for, none that matters missed, built once."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.data import ImageFeatures
from imtext.retrieval import index as module


def test_many_rows_are_searched_through_an_index_that_is_built_once(tmp_path, monkeypatch):
    faiss = pytest.importorskip("faiss", reason="faiss-cpu is not installed (pip install 'imtext[search]')")
    rows = np.random.default_rng(0).normal(size=(900, 8)).astype("f4")
    stored, path = ImageFeatures((rows,), range(900)), tmp_path / "new" / "x.faiss"
    assert module.candidates(stored, rows[5], 20, path).tolist() == list(range(900))
    monkeypatch.setattr(module, "EXACT", 500)
    monkeypatch.setattr(module, "PROBED", 1)
    some = module.candidates(stored, rows[5], 20, path)
    assert len(some) == 20 and (np.diff(some) > 0).all()
    assert set(np.argsort(-(rows @ rows[5]))[:5]) <= set(some), "all lists are read, so none is missed"
    monkeypatch.setattr(faiss, "index_factory", None)
    assert module.candidates(rows, rows[5], 20, path).tolist() == some.tolist()


def test_without_faiss_all_rows_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EXACT", 1)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert module.candidates(np.eye(2), np.ones(2), 1, tmp_path).tolist() == [0, 1]
