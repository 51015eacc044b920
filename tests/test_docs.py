"""What README and docs say to type works, and prints what they show."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ALL_INSTALLED, ROOT, missing
from tests.pages import NOT_RUN, PAGES, RUN, Block, NotInstalled, Reader, blocks, compare

ALL = [block for page in PAGES for block in blocks(page)]
TO_RUN = [block for block in ALL if block.language in RUN]
GENERATED = runpy.run_path(str(ROOT / "docs" / "make.py"))["PAGES"]


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Reader]:
    return {page: Reader(page, tmp_path_factory.mktemp(page.stem)) for page in PAGES}


@pytest.mark.parametrize("block", TO_RUN, ids=str)
def test_block(block: Block, readers: dict[Path, Reader], monkeypatch: pytest.MonkeyPatch) -> None:
    reader = readers[block.page]
    monkeypatch.chdir(reader.folder)
    ours = [b for b in TO_RUN if b.page == block.page]
    try:
        for each in ours[reader.done : ours.index(block) + 1]:  # earlier ones, if left out
            reader.read(each)
    except NotInstalled as error:
        missing(str(error))


def test_no_block_is_overlooked() -> None:
    wrong = [str(block) for block in ALL if block.language not in (*RUN, *NOT_RUN)]
    assert wrong == []


@pytest.mark.parametrize("name", GENERATED)
def test_generated_pages_are_those_of_the_code(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == GENERATED[name](), "run: python docs/make.py"


def test_every_refusal_is_on_its_page() -> None:
    from nirbridge.diagnostics import RULES

    text = (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^\| (NB\d+)", text) == sorted(RULES)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    files = re.findall(r"`((?:graphs|benchmarks|nirbridge|tests|examples|docs)/[\w./]*)`", text)
    assert [name for name in files if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_headings_that_are_linked_exist(page: Path) -> None:
    for name, heading in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", page.read_text(encoding="utf-8")):
        text = (page.parent / name if name else page).read_text(encoding="utf-8")
        titles = (t.lower() for t in re.findall(r"(?m)^#+ (.+)$", text))
        assert heading in {re.sub(r"[^\w -]", "", t).replace(" ", "-") for t in titles}, name


def test_modules_named_can_be_run() -> None:
    for page in PAGES:
        for name in re.findall(r"python -m ([\w.]+)", page.read_text(encoding="utf-8")):
            place = ROOT / name.replace(".", "/")
            assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), name


def test_every_page_is_in_the_contents() -> None:
    contents = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in PAGES if page.parent.name == "docs"} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([\w-]+\.md)\)", contents))


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("accuracy 96.3 %", "│ accuracy │ 96.1 % │", True),
        ("accuracy 96.3 %", "accuracy 40.0 %", False),
        ("latency 2", "latency 2 steps", True),
        ("lif1: 58 neurons", "lif2: 58 neurons", False),
        ("one\n...\nthree", "one two three", True),
        ("three\n...\none", "one two three", False),
        ("185,944 spikes", "18,594 spikes", False),
        ("185,944 spikes", "186,021 spikes", True),
        ("exit code 1", "exit code 3", False),
        ("(10, 44, 8)", "(10, 44, 9)", False),
        ("shape [8]", "shape [8.0]", True),
        ("cosine 0.0", "cosine 0.9999", False),
        ("cosine 0.9999", "cosine 0.0", False),
        ("costs +1.5", "costs -1.5", False),
        ("costs +1.5", "costs +0.8", True),
        ("costs +0.0", "costs -1.5", True),
        ("0.33602165 ms", "0.40404050 ms", False),
        ("17 of 16 inputs", "19 of 16 inputs", False),
        ("agrees on 85 %", "agrees on 87 %", True),
        ("agrees on 85 %", "agrees on 87", False),
        ("50% -> 76%", "50% -> 40%", False),
    ],
)
def test_compare(shown: str, printed: str, same: bool) -> None:
    if same:
        compare(shown, printed)
    else:
        with pytest.raises(AssertionError):
            compare(shown, printed)


@pytest.mark.parametrize(("shown", "right"), [("3", True), ("1", False), ("30", False)])
def test_exit_codes_are_exact(shown: str, right: bool, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"```console\n$ nirbridge inspect gone.nir\n$ echo $?\n{shown}\n```\n")
    (block,) = blocks(page)
    reader = Reader(page, tmp_path)
    if right:
        reader.read(block)
    else:
        with pytest.raises(AssertionError, match="exit code 3"):
            reader.read(block)


def test_what_is_missing_fails_where_all_is_installed(monkeypatch: Any) -> None:
    monkeypatch.delenv(ALL_INSTALLED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no torch"):
        missing("no torch")
    monkeypatch.setenv(ALL_INSTALLED, "1")
    with pytest.raises(pytest.fail.Exception, match="no torch"):
        missing("no torch")
    assert f"export {ALL_INSTALLED}=1" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_a_block_that_is_wrong_is_noticed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text("```console\n$ nirbridge inspect gone.nir\n```\n```python\n1 / 0\n```\n")
    reader = Reader(page, tmp_path)
    console, python = blocks(page)
    with pytest.raises(AssertionError, match="exit code 3"):
        reader.read(console)
    with pytest.raises(ZeroDivisionError):
        reader.read(python)
