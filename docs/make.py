"""Write the pages that follow from the code: python docs/make.py (a test tells when to)."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from itertools import groupby
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from nirbridge.cli import app
from nirbridge.diagnostics import RULES

DOCS = Path(__file__).resolve().parent
REFUSED = DOCS.parent / "graphs" / "refused"
STAGES = {
    "1": "Reading a graph",
    "2": "Verifying it",
    "3": "Time",
    "4": "Lowering",
    "5": "Quantising",
    "6": "Fitting the chip",
    "7": "Configurations",
    "8": "Rasters, files, usage",
    "9": "Frameworks and devices",
}
METAVARS = {Path: "FILE", float: "NUMBER", int: "N", str: "TEXT", bool: ""}

CLI = """\
# The commands

Written by `python docs/make.py` from the commands themselves; `nirbridge COMMAND --help` lists the
same options, and `nirbridge --version` says which release answers.

| exit code | what it means |
| --- | --- |
| 0 | done |
| 1 | `check`: more decisions differ than `--tolerance`; `deploy`: the device computes otherwise |
| 2 | wrong usage |
| 3 | refused, with the [diagnostics](diagnostics.md) on stderr |
| 130, 141 | interrupted (Ctrl-C); nobody reads the output any more (a closed pipe) |

With `--json` the result, or what was refused, is JSON on stdout. Output appears whole or not at
all, and nothing is written over without `--force`.
"""

DIAGNOSTICS = """\
# What is refused, and why

Written by `python docs/make.py` from `nirbridge/diagnostics.py`.

A refusal is a record: a code, the node (or file, or option), the rule that was broken, its limit,
what was found instead, and a remedy. What is wrong with a network comes together, stage by stage:
all of it in reading, then all in verifying, and so on. Options are checked one by one. On the
command line refusals go to stderr and the exit code is 3:

```console
$ nirbridge convert graphs/refused/NB602_hidden.nir -o refused
NB602  fit  node hidden
    rule    the hidden population must fit the chip
    limit   1000 hidden neurons (Xylo Audio 2; documented)
    found   1200 in hidden
    remedy  train a smaller network, or choose a target that fits: nirbridge targets
$ echo $?
3
```

In Python they are the `diagnostics` of the exception:

```python
import nirbridge

try:
    nirbridge.convert(nirbridge.read("graphs/refused/NB602_hidden.nir"))
except nirbridge.Refused as refusal:
    for found in refusal.diagnostics:
        print(found.code, found.node, found.found, sep="; ")
```

```text
NB602; hidden; 1200 in hidden
```

The remedy below is the usual one; a diagnostic says a closer one where it knows it. The examples
are files that are refused with that code, by the command in `graphs/refused/manifest.json`. A code
without one needs more than a file: a missing path, a call from Python, a device, a cluster, or a
library that is not installed.
"""


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    head = list(titles)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell(c) for c in line)} |\n" for line in lines)


def cell(text: str) -> str:
    """A text within a table."""
    return text.replace("|", "\\|")


# --- commands --------------------------------------------------------------------------------


def cli() -> str:
    """``cli.md``."""
    parts = [CLI]
    known = [(c.name, c.callback) for c in app.registered_commands if c.callback is not None]
    for name, function in sorted((name or f.__name__, f) for name, f in known):
        parts.append(f"## nirbridge {name}\n\n{inspect.getdoc(function)}\n")
        parts.append(table(("", "", "default"), parameters(function)))
    return "\n".join(parts)


def parameters(function: Callable[..., Any]) -> Iterator[tuple[str, str, str]]:
    """How each argument and option is written, what it means, what it is by default."""
    types = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, info = get_args(types[name])[:2]
        default = parameter.default
        if isinstance(info, ArgumentInfo):
            yield f"`{info.metavar or name.upper()}`", info.help or "", "required"
            continue
        assert isinstance(info, OptionInfo)
        written = (info.default, *(info.param_decls or ()))  # within Annotated, all are names
        flags = [f for f in written if isinstance(f, str)] or [f"--{name.replace('_', '-')}"]
        shown = f"{', '.join(sorted(flags, key=len))} {info.metavar or metavar(kind)}".strip()
        yield f"`{shown}`", f"{info.help} {bounds(info)}".strip(), said(default, info)


def metavar(kind: Any) -> str:
    """What stands for a value of a type."""
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (k for k in get_args(kind) if k is not type(None))
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return "|".join(str(word.value) for word in kind)
    return METAVARS[kind]


def bounds(info: OptionInfo) -> str:
    """The range of a number in words."""
    if info.max is not None:
        return f"From {info.min:g} to {info.max:g}."
    return "" if info.min is None else f"At least {info.min:g}."


def said(default: Any, info: OptionInfo) -> str:
    """The default in words."""
    if default is inspect.Parameter.empty:
        return "required"
    if isinstance(info.show_default, str):
        return info.show_default
    return "" if default is None or default is False else f"`{default}`"


# --- diagnostics -----------------------------------------------------------------------------


def diagnostics() -> str:
    """``diagnostics.md``."""
    examples: dict[str, list[str]] = {}
    for entry in json.loads((REFUSED / "manifest.json").read_text(encoding="utf-8")):
        link = f"[{entry['why']}](../graphs/refused/{entry['file']})"
        for code in entry["codes"]:
            examples.setdefault(code, []).append(link)
    parts = [DIAGNOSTICS]
    for digit, codes in groupby(sorted(RULES), key=lambda code: code[2]):
        rows = (
            (code, RULES[code].rule, RULES[code].remedy, "; ".join(examples.get(code, ())))
            for code in codes
        )
        parts.append(f"## {STAGES[digit]}\n")
        parts.append(table(("code", "rule", "usual remedy", "examples"), rows))
    return "\n".join(parts)


PAGES: dict[str, Callable[[], str]] = {"cli.md": cli, "diagnostics.md": diagnostics}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        print(DOCS / name)
