"""Files with random damage: of the bytes, of the text, of the structure.

Each function takes a good file's bytes and a generator, and gives a bad one's.
"""

from __future__ import annotations

import io
import json
import random
import re
import struct
import warnings
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from nirbridge.graph.nodes import FIELDS

Mutator = Callable[[bytes, random.Random], bytes]

INTEGERS = (
    0,
    1,
    2,
    7,
    127,
    128,
    255,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
NUMBERS = (0, 1, -1, 2, 255, 1e6, 1e300, -1e300, 1e-300, 5e-324, np.nan, np.inf, -np.inf, 2**62)
SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (2,), (3,), (1, 1), (3, 2), (2, 2, 2))
TYPES = ("f8", "f4", "f2", "i8", "u1", "?", ">f4")
WORDS = (*FIELDS, "NIRGraph", "", "x")
PATHS = ("../up", "/tmp/up", "a/b", "x\0y", "..", ".", "\x1b[31m", "n" * 5000, "é")
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 7, 2**31, 2**63, 2**64 - 1, 10**400, 0.5, 1e400, "", "x", "hidden",
    [], [0], [[1]], {}, {"shape": [2**40], "index": [], "value": []}, *PATHS[:3],
)  # fmt: skip
TOKENS = (
    "", "0", "-1", "1e9", "1e308", "1e400", "nan", "inf", "0x10", "1_0", "9" * 400, "٣", '"', ",",
    "\0", "[" * 2000, "{", "]", "true", "null", "=cmd()", "\n", "\ufeff", "'",
)  # fmt: skip


def any_of(*mutators: Mutator) -> Mutator:
    """One of them, chosen anew for each file; now and then two, in the order given."""

    def mutate(content: bytes, rng: random.Random) -> bytes:
        for k in sorted(rng.choices(range(len(mutators)), k=rng.choice([1, 1, 1, 2]))):
            content = mutators[k](content, rng)
        return content

    return mutate


# --- bytes -----------------------------------------------------------------------------------


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, written over, moved, doubled or left out."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 1, 2, 2, 5, 20])):
        rng.choice(_DAMAGE)(data, rng)
    return bytes(data)


def _place(data: bytearray, rng: random.Random) -> int:
    return rng.randrange(len(data)) if data else 0


def _byte(data: bytearray, rng: random.Random) -> None:
    i = _place(data, rng)
    if data:
        data[i] = rng.choice([0, 255, rng.randrange(256), data[i] ^ (1 << rng.randrange(8))])


def _integer(data: bytearray, rng: random.Random) -> None:
    """A size or an address that is extreme, or a little off."""
    width = rng.choice([1, 2, 4, 8])
    i = _place(data, rng) // width * width
    old = int.from_bytes(data[i : i + width], "little")
    value = rng.choice([*INTEGERS, old + 1, old - 1, 2 * old]) % 2 ** (8 * width)
    data[i : i + width] = value.to_bytes(width, "little")


def _block(data: bytearray, rng: random.Random) -> None:
    """A block over, before or in place of another; or none."""
    size = rng.choice([1, 8, 40, 500])
    source, i = _place(data, rng), _place(data, rng)
    block = rng.choice([data[source : source + size], bytes(size), b""])
    data[i : i + rng.choice([0, len(block), size])] = block


def _cut(data: bytearray, rng: random.Random) -> None:
    if rng.random() < 0.3:
        del data[_place(data, rng) :]


_DAMAGE = (_byte, _byte, _byte, _byte, _integer, _integer, _block, _cut)


# --- text ------------------------------------------------------------------------------------


def text(content: bytes, rng: random.Random) -> bytes:
    """A word, a number or a line that is another, doubled or missing."""
    parts = re.split(r"([\s,:{}\[\]]+)", content.decode("utf-8", "replace"))
    for _ in range(rng.choice([1, 1, 2, 5])):
        i = rng.randrange(len(parts))
        parts[i : i + rng.choice([0, 1, 1, 1, 3])] = [rng.choice([*TOKENS, rng.choice(parts)])]
        parts = parts or [""]
    return "".join(parts).encode("utf-8", "surrogatepass")


def places_in(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in a tree of JSON."""
    inner = content.items() if isinstance(content, dict) else enumerate(content)
    found = [path] if path else []
    for key, value in inner:
        below = isinstance(value, (dict, list)) and len(str(value)) < 5000
        found += places_in(value, (*path, key)) if below else [(*path, key)]
    return found


def record(content: bytes, rng: random.Random) -> bytes:
    """JSON in which something is another value, or missing."""
    try:
        tree = json.loads(content)
        *path, last = rng.choice(places_in(tree))
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError):
        return content  # no tree any more
    holder = tree
    for key in path:
        holder = holder[key]
    chance = rng.random()
    if chance < 0.1:
        del holder[last]
    elif chance < 0.5 and type(holder[last]) is int:
        holder[last] += rng.choice([-1, 1, rng.randrange(-100, 100)])
    else:
        holder[last] = rng.choice(VALUES)
    return json.dumps(tree).encode()


def checkpoint(content: bytes, rng: random.Random) -> bytes:
    """A file of torch's, whole, in which a part is cut, not finite, something else, or missing."""
    import torch

    try:
        tree = torch.load(io.BytesIO(content), weights_only=True)
    except Exception:  # noqa: BLE001  # damaged already: whatever torch raises
        return content
    *path, last = rng.choice(places_in(tree))
    holder = tree
    for key in path:
        holder = holder[key]
    value = holder[last]
    if rng.random() < 0.1:
        del holder[last]
    elif isinstance(value, torch.Tensor) and rng.random() < 0.7:
        change = rng.choice(NUMBERS)
        flat = value.flatten()
        holder[last] = rng.choice(
            [value * change, flat[1:], flat[None], value[..., None], value.to(torch.int32)]
        )
    else:
        holder[last] = rng.choice(VALUES)
    out = io.BytesIO()
    torch.save(tree, out)
    return out.getvalue()


# --- arrays ----------------------------------------------------------------------------------


def npy(header: str, content: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """A file in NumPy's format with any header."""
    line = header.encode("latin1", "replace").ljust(118) + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(line) % 2**16)
    return b"\x93NUMPY" + bytes(version) + length + line + content


def described(shape: str, kind: str = "<i8") -> str:
    """The header of an array."""
    return f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}}}"


_HEADERS = (
    "({a}, {b})", "({a},)", "()", "(-{a}, {b})", "({a}, {a}, {b})", "'{a}'", "({a}.0, {b})", "None",
)  # fmt: skip
_KINDS = ("<i8", "<f8", "|u1", "|b1", "|O", "|V0", "|S1", "<U3", ">i4", "<c16", "<M8[s]", "x", "")


def array_header(content: bytes, rng: random.Random) -> bytes:
    """Another shape or type than the array has."""
    sizes = {"a": rng.choice(INTEGERS), "b": rng.choice([1, 2, 3, 2**40])}
    shape = rng.choice(_HEADERS).format(**sizes)
    header = described(shape, rng.choice(_KINDS))
    if rng.random() < 0.2:
        header = text(header.encode(), rng).decode("utf-8", "replace")
    return npy(header, content[128:], rng.choice([(1, 0), (1, 0), (1, 0), (2, 0), (3, 0), (9, 9)]))


def archive(content: bytes, rng: random.Random) -> bytes:
    """A zip file, whole, whose members are damaged, renamed, doubled, or something else."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            members = [(name, file.read(name)) for name in file.namelist()]
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError, NotImplementedError):
        return content
    packing = rng.choice(
        [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2]
    )
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", packing) as file:
        warnings.simplefilter("ignore")  # the same name twice
        for name, data in members:
            changed = rng.choice([damaged, array_header])(data, rng) if rng.random() < 0.6 else data
            other = rng.choice(["x.npy", "y.npy", "z.npy", "../x.npy", "/tmp/x.npy", "x"])
            file.writestr(name if rng.random() < 0.8 else other, changed)
    return out.getvalue()


# --- HDF5 ------------------------------------------------------------------------------------


def hdf5(place: Path) -> Mutator:
    """A well-formed file with mistakes; ``place`` is where it is edited."""

    def mutate(content: bytes, rng: random.Random) -> bytes:
        place.write_bytes(content)
        try:
            with h5py.File(place, "r+") as file:
                for _ in range(rng.choice([1, 1, 2, 3])):
                    rng.choice([careless, careless, careless, hostile])(file, rng)
        except (ValueError, RuntimeError, KeyError, OSError, TypeError, IndexError):
            return content  # not a possible mistake
        return place.read_bytes()

    return mutate


def put(file: Any, name: str, data: Any = None, **options: Any) -> None:
    """Put another dataset in the place of one."""
    if name in file:
        del file[name]
    file.create_dataset(name, data=data, **options)


def datasets(file: Any) -> list[str]:
    """Names of the datasets in a file that can be read: none that claims gigabytes."""
    names: list[str] = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.size < 2**20 and not item.external:
            names.append(name)

    file.visititems(look)
    return names


def careless(file: Any, rng: random.Random) -> None:
    """One mistake: another value, shape, type, word or edge; something too few or too many."""
    name = rng.choice(datasets(file))
    value = file[name][()]
    text = h5py.check_string_dtype(file[name].dtype) is not None
    what = rng.randrange(6)
    if what == 0:
        del file[name]
    elif what == 1:
        put(file, f"{name}{rng.randrange(9)}", 1.0)
    elif what == 2 and rng.random() < 0.5:
        file.move(name.rpartition("/")[0], "node/nodes/" + rng.choice(["a.b", "w", "x y", "."]))
    elif text and np.ndim(value) == 2:
        edges = value.copy()
        edges[rng.randrange(len(edges)), rng.randrange(2)] = rng.choice([*edges.ravel(), b"gone"])
        rest = edges[: rng.randrange(1, len(edges) + 1)]
        put(file, name, rest, dtype=h5py.string_dtype())
    elif text:
        put(file, name, rng.choice(WORDS))
    elif what == 3:
        put(file, name, np.ones(rng.choice(SHAPES), rng.choice(TYPES)))
    elif np.size(value):
        changed = np.array(np.real(value), np.float64)
        changed.flat[rng.randrange(changed.size)] = rng.choice(NUMBERS)
        put(file, name, changed)


def hostile(file: Any, rng: random.Random) -> None:
    """A link out of the file or into a circle, gigabytes that are claimed, a name of a path."""
    name = rng.choice(datasets(file))
    parent = file[name].parent
    what = rng.randrange(7)
    if what == 0:
        del file[name]
        file[name] = rng.choice([h5py.ExternalLink("/etc/hostname", "/"), h5py.SoftLink("/")])
    elif what == 1:
        parent["again"] = file[rng.choice(["/", "/node", parent.name])]
    elif what == 2:
        put(file, name, shape=(rng.choice([2**20, 2**31, 2**40]),), dtype="f8")
    elif what == 3:
        size = rng.choice([2**20, 2**40])
        put(file, name, shape=(size,), dtype="f8", chunks=(2**16,), compression="gzip")
    elif what == 4:
        put(file, name, shape=(3, 2), dtype="f8", external=[("/etc/hostname", 0, 48)])
    elif what == 5:
        file.move(name, f"{parent.name}/{rng.choice(PATHS)}")
    else:
        kind = rng.choice([[("a", "f8")], "c16", "S5", h5py.vlen_dtype("f8"), h5py.ref_dtype])
        put(file, name, shape=(3,), dtype=kind)
    for key in list(parent.attrs):
        if rng.random() < 0.3:
            parent.attrs[key] = rng.choice([np.nan, -1, 2**40, "text", np.ones(3)])


def any_graph(rng: random.Random) -> nir.NIRGraph:
    """A convolutional, a nested or a plain network."""

    def neurons(kind: Any, shape: Any, *values: float) -> Any:
        return kind(*[np.full(shape, x) for x in values])

    lif = neurons(nir.LIF, 3, 0.01, 1, 0, 1, 0)
    plain = {"w": nir.Affine(np.ones((3, 2)), np.zeros(3)), "lif": lif, "s": nir.Scale(np.ones(3))}
    first: dict[str, Any] = {"input": nir.Input(np.array([2]))}
    middle: dict[str, Any] = plain
    choice = rng.randrange(3)
    if choice == 1:
        inner = {**first, **plain, "output": nir.Output(np.array([3]))}
        middle = {"net": chained(inner)}
    elif choice == 2:
        first = {"input": nir.Input(np.array([1, 4, 4]))}
        middle = {
            "c": nir.Conv2d((4, 4), np.ones((2, 1, 3, 3)), 1, 1, 1, 1, np.zeros(2)),
            "if": neurons(nir.IF, (2, 4, 4), 1, 1, 0),
            "p": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
            "f": nir.Flatten({"input": np.array([2, 2, 2])}, 0, -1),
            "w": nir.Linear(np.ones((3, 8))),
            "o": lif,
        }
    last = {
        "w2": nir.Linear(np.ones((2, 3))),
        "out": neurons(nir.CubaLIF, 2, 0.01, 0.01, 1, 0, 1, 0, 1),
        "output": nir.Output(np.array([2])),
    }
    return chained({**first, **middle, **last})


def chained(nodes: dict[str, Any]) -> nir.NIRGraph:
    """Nodes one after the other."""
    names = list(nodes)
    edges = list(pairwise(names))
    return nir.NIRGraph(nodes, edges, type_check=False)
