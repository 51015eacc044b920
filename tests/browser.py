"""Headless Chromium, if there is one: what a page says, complains about, and how it is laid out."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")

# Run beside the page, which itself forbids every script: how wide it is, and where its texts lie.
_MEASURE = """
<iframe id="f" width="%d" height="3000" style="border:0" srcdoc="%s"></iframe>
<pre id="found"></pre>
<script>
f.onload = () => {
  const page = f.contentDocument, wide = page.documentElement.clientWidth;
  const pairs = [], outside = [], small = [], hidden = [], wrapped = [];
  for (const svg of page.querySelectorAll("svg")) {
    const box = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].filter(t => t.textContent.trim());
    const rects = texts.map(t => t.getBoundingClientRect());
    texts.forEach((t, i) => {
      const r = rects[i];
      if (r.left < box.left - 12 || r.right > box.right + 6 || r.bottom > box.bottom + 4)
        outside.push(t.textContent);
      if (parseFloat(page.defaultView.getComputedStyle(t).fontSize)
          * svg.getScreenCTM().a < 6.5) small.push(t.textContent);
      for (let k = 0; k < i; k++) {
        const x = Math.min(r.right, rects[k].right) - Math.max(r.left, rects[k].left);
        const y = Math.min(r.bottom, rects[k].bottom) - Math.max(r.top, rects[k].top);
        if (x > 2 && y > 4) pairs.push([t.textContent, texts[k].textContent]);
      }
    });
  }
  for (const region of page.querySelectorAll(".scroll"))
    for (const th of region.querySelectorAll("thead th"))
      if (th.getBoundingClientRect().right > region.getBoundingClientRect().right + 1)
        hidden.push([region.getAttribute("aria-label"), th.textContent]);
  for (const dd of page.querySelectorAll(".tiles dd:not(.small)"))
    if (dd.offsetHeight > 1.6 * parseFloat(page.defaultView.getComputedStyle(dd).lineHeight))
      wrapped.push(dd.textContent);
  found.textContent = JSON.stringify({width: wide,
    scroll: page.documentElement.scrollWidth, pairs, outside, small, hidden, wrapped});
};
</script>
"""


def browser() -> str:
    """The browser's command; skips the test where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)}")
    return found


def visit(page: Path, profile: Path, *flags: str) -> tuple[str, list[str]]:
    """The page's elements as text after loading, and what the browser's console said."""
    command = [
        browser(), *FLAGS, f"--user-data-dir={profile}", "--enable-logging=stderr",
        "--virtual-time-budget=5000", *flags, "--dump-dom", page.resolve().as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, said


def measure(page: Path, width: int, folder: Path) -> Any:
    """How wide a page is in a window of ``width``, and which texts of figures touch or stick out.

    Keys: width, scroll, pairs (of texts that overlap), outside, small (below 6.5 pixels), hidden
    (columns of tables that are seen only after scrolling), wrapped (key figures on two lines).
    """
    frame = folder / f"frame{width}.html"
    frame.write_text(_MEASURE % (width, html.escape(page.read_text("utf-8"))), encoding="utf-8")
    text = ""
    for k in range(3):  # a busy machine may end the visit before the frame is loaded
        dom, _ = visit(frame, folder / f"profile{width}-{k}")
        text = dom.rpartition('<pre id="found">')[2].partition("</pre>")[0]
        if text:
            break
    return json.loads(html.unescape(text))


def printed(page: Path, folder: Path) -> list[str]:
    """The text of each page on paper; skips the test without Poppler."""
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext")
    pdf, text = folder / "page.pdf", folder / "page.txt"
    visit(page, folder / "print", "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    subprocess.run(["pdftotext", "-layout", pdf, text], check=True, timeout=60)
    return text.read_text("utf-8").rstrip("\f").split("\f")
