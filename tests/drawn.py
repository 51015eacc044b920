"""Graphs that are hard to draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise, product

import nir
import numpy as np

N = 24


def lif(n: int = N, tau: float = 0.01) -> nir.CubaLIF:
    one = np.ones(n)
    return nir.CubaLIF(tau * one / 2, tau * one, one, 0 * one, one, 0 * one, one)


def linear(n: int = N, m: int = N) -> nir.Linear:
    return nir.Linear(np.ones((m, n)))


def graph(populations: dict[str, int], links: Iterable[tuple[str, str]]) -> nir.NIRGraph:
    """Populations of so many neurons, with a matrix for each link, an Input and an Output."""
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([N]))}
    sizes = {"input": N, **populations}
    nodes |= {name: lif(n, 0.01 + 0.001 * k) for k, (name, n) in enumerate(populations.items())}
    edges = []
    for k, (a, b) in enumerate(links):
        if b == "output":
            edges.append((a, b))
            continue
        nodes[f"w{k}"] = linear(sizes[a], sizes[b])
        edges += [(a, f"w{k}"), (f"w{k}", b)]
    last = next(a for a, b in edges if b == "output")
    nodes["output"] = nir.Output(np.array([sizes[last]]))
    return nir.NIRGraph(nodes, edges, type_check=False)


def parallel(n: int, sizes: int = 1) -> nir.NIRGraph:
    """``n`` branches beside each other, of one size or of several."""
    names = {f"n{k}": N + k % sizes for k in range(n)}
    links = [(a, b) for name in names for a, b in (("input", name), (name, "sum"))]
    return graph({**names, "sum": N}, [*links, ("sum", "output")])


def stages(wide: int, deep: int) -> nir.NIRGraph:
    """Every population of a stage feeds every one of the next."""
    rows = [[f"s{d}n{k}" for k in range(wide)] for d in range(deep)]
    links = [("input", name) for name in rows[0]]
    links += [pair for a, b in pairwise(rows) for pair in product(a, b)]
    links += [(name, "out") for name in rows[-1]]
    names = {name: N + k for k, name in enumerate(n for row in rows for n in row)}
    return graph({**names, "out": 8}, [*links, ("out", "output")])


def all_to_all(n: int) -> nir.NIRGraph:
    names = {f"n{k}": N + k for k in range(n)}
    links = [(a, b) for a, b in product(names, names) if a != b]
    return graph(names, [("input", "n0"), *links, (f"n{n - 1}", "output")])


def skips(n: int) -> nir.NIRGraph:
    """A chain in which every population also feeds the one after the next, and the last."""
    names = [f"layer{k}" for k in range(n)]
    links = [("input", names[0]), *pairwise(names), *zip(names, names[2:], strict=False)]
    links += [(name, names[-1]) for name in names[:-3]]
    return graph(dict.fromkeys(names, N), [*dict.fromkeys(links), (names[-1], "output")])


def block(depth: int = 1, inner: nir.NIRNode | None = None) -> nir.NIRGraph:
    """A nested graph with a skip in it."""
    middle = inner or lif()
    nodes = {
        "in": nir.Input(np.array([N])), "w": linear(), "a": middle, "skip": linear(),
        "b": lif(), "out": nir.Output(np.array([N])),
    }  # fmt: skip
    edges = [("in", "w"), ("w", "a"), ("a", "b"), ("in", "skip"), ("skip", "b"), ("b", "out")]
    found = nir.NIRGraph(nodes, edges)
    return found if depth == 1 else block(depth - 1, found)


def nested(n: int, depth: int = 1, skip: bool = True) -> nir.NIRGraph:
    """``n`` nested graphs in a row, each also feeding the last."""
    names = [f"block{k}" for k in range(n)]
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([N]))}
    nodes |= {name: block(depth) for name in names}
    nodes["output"] = nir.Output(np.array([N]))
    edges = list(pairwise(["input", *names, "output"]))
    if skip:
        edges += [(name, names[-1]) for name in names[:-2]]
    return nir.NIRGraph(nodes, edges)


def recurrent(n: int) -> nir.NIRGraph:
    names = [f"layer{k}" for k in range(n)]
    links = [("input", names[0]), *pairwise(names), *((name, name) for name in names)]
    return graph(dict.fromkeys(names, N), [*links, (names[-1], "output")])


def chance(seed: int) -> nir.NIRGraph:
    """Any populations, any of them feeding any other."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 16))
    names = {f"p{k}": int(rng.integers(2, 300)) for k in range(n)}
    pairs = [(a, b) for a, b in product(names, names) if rng.random() < 2.2 / n]
    return graph(names, [("input", "p0"), *pairs, (f"p{n - 1}", "output")])


HARD: dict[str, Callable[[], nir.NIRGraph]] = {
    "30 equal branches": lambda: parallel(30),
    "9 branches": lambda: parallel(9, 9),
    "30 branches of 4 sizes": lambda: parallel(30, 4),
    "30 branches of 30 sizes": lambda: parallel(30, 30),
    "4 populations in 3 stages": lambda: stages(4, 3),
    "2 populations in 6 stages": lambda: stages(2, 6),
    "7 all to all": lambda: all_to_all(7),
    "4 all to all": lambda: all_to_all(4),
    "12 layers with skips": lambda: skips(12),
    "5 layers with skips": lambda: skips(5),
    "3 nested with skips": lambda: nested(3),
    "7 nested with skips": lambda: nested(7),
    "7 nested in a row": lambda: nested(7, skip=False),
    "4 nested of depth 3": lambda: nested(4, 3),
    "25 recurrent layers": lambda: recurrent(25),
    "5 recurrent layers": lambda: recurrent(5),
}
