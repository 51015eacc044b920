"""Every framework out, every framework in: which networks come through spike for spike.

``python -m benchmarks.interop [--steps N] [--seeds N] [--only ours|theirs] [--json FILE]
[--write]``

A network of each layer kind is made in each framework, with random weights. Its own spikes are
compared with those of the model that another framework gets from its NIR graph: once by
nirbridge, once by the frameworks' own functions where they have them. ``--write`` writes the
tables of ``docs/measured.md``.
"""

from benchmarks.interop.nets import (
    EXPORTERS,
    IMPOSSIBLE,
    KINDS,
    Net,
    for_graph,
    network,
    raster,
)

__all__ = [
    "EXPORTERS",
    "IMPOSSIBLE",
    "KINDS",
    "Net",
    "for_graph",
    "network",
    "raster",
]
