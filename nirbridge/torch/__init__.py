"""Training through the chip: its integers forward, surrogate gradients backward.

:class:`XyloModule` is a deployment as a torch module whose forward pass is
:func:`nirbridge.simulate`. :func:`nirbridge.finetune` trains one; :mod:`nirbridge.torch.robust`
searches the perturbation of its parameters that does most damage.
"""

from nirbridge.optional import need

need("torch")

from nirbridge.torch.module import XyloModule  # noqa: E402
from nirbridge.torch.run import ChipRun  # noqa: E402

__all__ = ["ChipRun", "XyloModule"]
