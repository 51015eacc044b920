"""README and docs as programs: the blocks of a page run in order, in one folder, as one reader.

``python`` needs nothing but the installation, ``py`` an optional library. ``console`` holds
commands after ``$`` and what they print, ``text`` what the block before it prints; ``...`` stands
for what is left out. A command's exit code is 0, unless ``$ echo $?`` shows another. Not run are
``sh`` (installations) and blocks without a language (illustrations).
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from nirbridge import Refused, cli
from nirbridge.optional import LIBRARIES, MISSING
from tests.conftest import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
RUN = ("python", "py", "console", "text")
NOT_RUN = ("sh", "")

NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]\d)")
CLOSE = 0.1  # relative, of measured numbers: training differs from machine to machine
POINTS = 3.0  # absolute, of shares in per cent and of differences between them
COUNTED = 10  # whole numbers below it are counts of something, and exact


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the line at which its text begins."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    found: list[Block] = []
    start: int | None = None
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if start is None:
            start, language = number + 1, line[3:].strip()
        else:
            found.append(Block(page, start + 1, language, "\n".join(lines[start:number])))
            start = None
    assert start is None, f"{page.name}: a block without an end"
    return found


class NotInstalled(Exception):
    """A block needs an optional library that is not there."""


@dataclass
class Reader:
    """Somebody who types in a page from its first block to its last, beside the example graphs."""

    page: Path
    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})
    printed: str = ""
    code: int = 0
    done: int = 0
    missing: str = ""

    def __post_init__(self) -> None:
        shutil.copytree(ROOT / "graphs", self.folder / "graphs", ignore=lambda *_: ["make"])

    def read(self, block: Block) -> None:
        """Run one block.

        Raises
        ------
        NotInstalled
            If it, or one before it, needs a library that is not there.
        AssertionError
            If it prints something else than the page shows, or exits otherwise.

        """
        self.done += 1
        if self.missing:
            raise NotInstalled(self.missing)
        try:
            if block.language == "console":
                self._console(block)
            elif block.language == "text":
                compare(block.text, self.printed)
            else:
                self._python(block)
        except NotInstalled as error:
            self.missing = str(error)
            raise

    def _python(self, block: Block) -> None:
        text = "\n" * (block.line - 1) + block.text  # so that errors tell the page's own line
        code = compile(text, str(block.page), "exec", dont_inherit=True)
        out = io.StringIO()
        try:
            with redirect_stdout(out):
                exec(code, self.names)
        except Refused as refusal:
            if block.language == "py" and refusal.diagnostics[0].code == MISSING:
                raise NotInstalled(str(refusal)) from None
            raise
        except ModuleNotFoundError as error:
            optional = {m.split(".")[0] for x in LIBRARIES.values() for m in x.modules}
            if block.language == "py" and error.name in optional:
                raise NotInstalled(f"{error.name} is not installed") from None
            raise
        self.printed = out.getvalue()

    def _console(self, block: Block) -> None:
        for command, shown in commands(block.text):
            if command == "echo $?":
                assert shown.strip() == str(self.code), f"exit code {self.code}: {self.printed}"
                self.code = 0
                continue
            assert self.code == 0, f"exit code {self.code}: {self.printed}"
            self.printed, self.code = self._run(command)
            if f"\n{MISSING}  " in f"\n{self.printed}":
                raise NotInstalled(self.printed)
            if shown:
                compare(shown, self.printed)
        assert self.code == 0, f"exit code {self.code}: {self.printed}"

    def _run(self, command: str) -> tuple[str, int]:
        words = command.split()
        if words[0] != "nirbridge":
            done = subprocess.run(command, shell=True, capture_output=True, text=True)
            return done.stdout + done.stderr, done.returncode
        out = io.StringIO()
        try:
            with (
                mock.patch.object(sys, "argv", words),
                mock.patch.dict(os.environ, COLUMNS="100"),
                redirect_stdout(out),
                redirect_stderr(out),
            ):
                cli.main()
        except SystemExit as end:
            return out.getvalue(), int(end.code or 0)
        return out.getvalue(), 0


def commands(text: str) -> list[tuple[str, str]]:
    """Each command of a console block, with what the page shows of its output."""
    parts = re.split(r"(?m)^\$ ", text)
    assert not parts[0].strip(), "a console block begins with $"
    return [(first, rest) for first, _, rest in (p.partition("\n") for p in parts[1:])]


def compare(shown: str, printed: str) -> None:
    """The words that are shown are printed, in that order, with numbers that are close.

    Frames of tables and the breaks of lines do not count.
    """
    assert shown.strip(), f"nothing is shown of:\n{printed}"
    words = _words(printed)
    at = 0
    for piece in re.split(r"(?m)^\s*\.\.\.\s*$|(?<=\s)\.\.\.(?=\s)", shown):
        wanted = _words(piece)
        places = range(at, len(words) - len(wanted) + 1)
        found = next((i for i in places if _same(wanted, words[i : i + len(wanted)])), None)
        assert found is not None, f"not printed:\n{piece}\nbut:\n{printed}"
        at = found + len(wanted)


def _words(text: str) -> list[str]:
    """Words without frames; a sign of per cent belongs to the number before it."""
    text = re.sub(r"(?<=\d) %", "%", text)
    return [w for w in text.split() if not re.fullmatch(r"[─-╿]+", w)]


def _same(shown: list[str], printed: list[str]) -> bool:
    return all(map(_alike, shown, printed))


def _alike(shown: str, printed: str) -> bool:
    if NUMBER.sub("#", shown) != NUMBER.sub("#", printed):
        return False
    pairs = zip(NUMBER.finditer(shown), NUMBER.finditer(printed), strict=True)
    return all(_close(a[0], b[0], share=shown[a.end() :].startswith("%")) for a, b in pairs)


def _close(shown: str, printed: str, share: bool) -> bool:
    """Whether a number may be printed where another one is shown."""
    a, b = (float(text.replace(",", "")) for text in (shown, printed))
    if share or shown[0] == "+" or (shown[0] == "-" and "." in shown):  # never of opposite sign
        return abs(a - b) <= POINTS and a * b >= 0
    if shown.lstrip("-").isdecimal() and abs(a) < COUNTED:
        return a == b
    return abs(a - b) <= CLOSE * abs(a)
