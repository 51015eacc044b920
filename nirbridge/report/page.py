"""The page: all of a story in one file, and its facts beside it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from nirbridge.files import check_new, check_suffix, replacing
from nirbridge.graph.read import repairs
from nirbridge.places import check_own
from nirbridge.report import pictures, tables
from nirbridge.report.facts import stepping, to_json
from nirbridge.report.figures.style import HUES
from nirbridge.report.story import Story
from nirbridge.report.templates import render

SUFFIXES = (".html", ".htm")


def check_page(path: Path, force: bool) -> None:
    """Whether :func:`write` will be able to write there; best asked before simulating.

    Raises
    ------
    Refused
        NB806 for another suffix than .html, NB805 if the page or the ``.json`` beside it exists, or
        would be a file of a deployment, NB807 if there is no such directory.

    """
    check_suffix(path, SUFFIXES)
    for each in (path, path.with_suffix(".json")):
        check_own(each)
        check_new(each, force)


def write(story: Story, path: Path, force: bool = False) -> None:
    """Write the page, and its facts as ``.json`` beside it, each whole or not at all.

    Raises
    ------
    Refused
        As :func:`check_page`.

    """
    check_page(path, force)
    facts = to_json(story.to_dict()) + "\n"
    page = html(story, sha256(facts.encode()).hexdigest())
    with replacing(path.with_suffix(".json"), force) as beside, replacing(path, force) as temporary:
        beside.write_text(facts, encoding="utf-8")
        temporary.write_text(page, encoding="utf-8")


def commands(story: Story) -> list[str]:
    """What to type to make the deployment and then the page again, as far as it is known."""
    known = (*story.deployment.origin.commands, story.provenance.command)
    return list(filter(None, dict.fromkeys(known)))


def html(story: Story, digest: str = "") -> str:
    """The page as one text: no script, nothing to fetch. ``digest``: SHA-256 of its facts."""
    return render(
        "page.html.j2",
        story=story,
        digest=digest,
        tables=tables,
        budget=pictures.budget_picture(story),
        samples=[
            (tables.heading(story, sample), list(pictures.sample_pictures(sample)))
            for sample in story.samples
        ],
        before=pictures.drawing(story, after=False),
        after=pictures.drawing(story, after=True),
        repairs=repairs(story.deployment.source),
        stepping=stepping(story.deployment.dynamics),
        commands=commands(story),
        hues=HUES,
        map=pictures.map_picture(story),
        matrix=pictures.matrix_picture(story),
        rounding=list(pictures.rounding_pictures(story)),
    )
