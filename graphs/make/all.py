"""Train all example networks and write everything under ``graphs/``: python graphs/make/all.py."""

from __future__ import annotations

import time

import conv
import cuba
import lif
import recurrent


def main() -> None:
    """Run the scripts one after the other; each sets its own seed, so the order is free."""
    for script in (cuba, recurrent, lif, conv):
        start = time.perf_counter()
        script.main()
        print(f"  {time.perf_counter() - start:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()
