"""Jinja2, with everything escaped that a name from a file could say."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from nirbridge.report.figures.style import over
from nirbridge.report.units import counted, percent, seconds, visible

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **content: Any) -> str:
    """Fill in a template of this folder; what is written is escaped unless it is ``Markup``."""
    return _environment().get_template(template).render(**content)


def trusted(text: str) -> Any:
    """Mark markup that was made here, with its names escaped, so that it is not escaped again."""
    from markupsafe import Markup

    return Markup(text)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nirbridge.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"counted": counted, "percent": percent, "seconds": seconds}
    environment.filters["over"] = over
    return environment


def _shown(value: Any) -> Any:
    """Names without control characters, which neither XML nor a reader takes."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return visible(value)
    return value
