"""Search among very many: FAISS's answers beside the exact ones. ``MANY`` is made small; the rest is as it is."""

import sys
from types import ModuleType

import numpy as np
import pytest

from dubcli.search import nearest as module
from dubcli.search.index import Index, IndexRow, write_index
from dubcli.search.nearest import nearest

ROWS, WIDTH, FILMS = 20_000, 128, 200


class Told(list):
    message = list.append


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Clips of 200 films, those of a film near each other as a model places them."""
    folder = tmp_path_factory.mktemp("index")
    draw = np.random.default_rng(0)
    films = draw.normal(0, 1, (FILMS, WIDTH))
    vectors = films[np.arange(ROWS) % FILMS] + draw.normal(0, 0.7, (ROWS, WIDTH))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    rows = [IndexRow("sound", f"film{n % FILMS}", f"film{n % FILMS}", 3.0 * (n // FILMS)) for n in range(ROWS)]
    write_index(folder, vectors, rows, {"of": "cache"})
    return Index(folder)


def exact(index, query, among, top):
    scores = index.vectors[among] @ query
    return among[np.argsort(-scores, kind="stable")[:top]]


def test_up_to_the_limit_all_are_compared_and_nothing_is_said(index):
    told, among = Told(), np.arange(0, ROWS, 3)
    numbers, scores = nearest(index, index.vectors[5], among, 10, told)
    assert numbers.tolist() == exact(index, index.vectors[5], among, 10).tolist()
    assert np.allclose(scores, index.vectors[numbers] @ index.vectors[5])
    assert not told


def test_beyond_it_without_faiss_all_are_compared_and_a_line_says_what_would_be_faster(index, monkeypatch):
    monkeypatch.setattr(module, "MANY", ROWS - 1)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    told = Told()
    numbers, _ = nearest(index, index.vectors[5], np.arange(ROWS), 10, told)
    assert numbers.tolist() == exact(index, index.vectors[5], np.arange(ROWS), 10).tolist()
    assert told == [f"{ROWS} rows are all compared; pip install faiss-cpu finds among so many faster, nearly all"]


def test_where_faiss_cannot_keep_its_lists_all_are_compared(index, monkeypatch):
    """An index on a disk that is read-only: asked for, not written to."""

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "MANY", ROWS - 1)
    monkeypatch.setitem(sys.modules, "faiss", ModuleType("faiss"))
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(module, "_write_lists", refused)
    told = Told()
    numbers, _ = nearest(index, index.vectors[5], np.arange(ROWS), 10, told)
    assert numbers.tolist() == exact(index, index.vectors[5], np.arange(ROWS), 10).tolist()
    path = index.folder / "vectors.faiss"
    assert told == [f"all rows are compared: FAISS's lists cannot be written to {path} (Permission denied)"]


def test_beyond_it_faiss_finds_what_the_exact_search_finds(index, monkeypatch):
    pytest.importorskip("faiss", reason="the extra [faiss] is not installed")
    monkeypatch.setattr(module, "MANY", ROWS - 1)
    draw, found, told = np.random.default_rng(1), 0, Told()
    everything, third = np.arange(ROWS), np.arange(0, ROWS, 3)
    for asked in range(100):
        query = index.vectors[asked] + draw.normal(0, 0.03, WIDTH).astype(np.float32)
        query /= np.linalg.norm(query)
        among = everything if asked % 2 else third
        numbers, scores = nearest(index, query, among, 10, told)
        assert len(numbers) == 10
        assert set(numbers) <= set(among)
        assert np.allclose(scores, index.vectors[numbers] @ query, atol=1e-6)  # exact, and in order
        assert (np.diff(scores) <= 0).all()
        found += len(set(numbers) & set(exact(index, query, among, 10)))
    print("recall at 10:", found / 1000)
    assert found >= 990
    assert len(told) == 100
    assert "FAISS" in told[0]
    # few are wanted, perhaps in no list that is looked into
    few = np.array([7, 11])
    assert set(nearest(index, index.vectors[9000], few, 10)[0]) == {7, 11}
