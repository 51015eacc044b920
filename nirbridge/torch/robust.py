"""Perturbed parameters: random ones, and those that do the most damage (arXiv 2106.05009)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from nirbridge.torch.module import XyloModule

Tensor = torch.Tensor

PERTURBED = (
    "weights_in", "weights_rec", "weights_out",
    "threshold", "threshold_out", "bias", "bias_out",
)  # fmt: skip
STEPS = 10
START = 1e-3  # relative noise from which the ascent begins: at Θ itself the gradient is 0
FLOOR = 1e-6  # of a probability, inside the logarithm


def perturbed(
    module: XyloModule, size: float, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Θ' = Θ + size·|Θ|·N(0, 1); the noise is constant, so gradients are those at Θ.

    Parameters
    ----------
    module
        Whose weights, thresholds and biases; thresholds of outputs that are read by their
        membranes, which mean nothing, stay.
    size
        Relative standard deviation.
    generator
        Of torch, on the CPU.

    """
    found = {}
    for name in PERTURBED:
        value = getattr(module, name)
        noise = torch.randn(value.shape, generator=generator).to(value)
        found[name] = value + (size * value.abs() * noise * module.meaningful(name)).detach()
    return found


def divergence(module: XyloModule, answer: Tensor, other: Tensor) -> Tensor:
    """KL(softmax f ‖ softmax f*), mean over the batch, of two answers (B, T, n_out)."""
    p, q = (torch.softmax(module.logits(a), dim=1) for a in (answer, other))
    ratio = torch.log(p.clamp(min=FLOOR)) - torch.log(q.clamp(min=FLOOR))
    return (p * ratio).sum(dim=1).mean()


def attack(
    module: XyloModule,
    raster: Any,
    bound: float,
    steps: int = STEPS,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """The perturbation within a relative bound that changes the answer most.

    Θ* starts at Θ + 1e-3·|Θ|·N(0, 1) and takes ``steps`` times the step
    (bound·|Θ|/steps)·sign(∂KL/∂Θ*) (arXiv 2106.05009, algorithm 1).

    Parameters
    ----------
    module
        The chip that is attacked.
    raster
        Counts (B, T, n_in) on which it is attacked.
    bound
        Largest relative change of a parameter.
    steps
        Of the ascent.
    generator
        Of torch, on the CPU.

    Returns
    -------
    dict of str to Tensor
        Weights, thresholds and biases, constant, for ``module(raster, parameters)``.

    """
    with torch.no_grad():
        reference = module.answer(raster)
        at = perturbed(module, START, generator)
        size = {n: bound / steps * getattr(module, n).abs() * module.meaningful(n) for n in at}
    for _ in range(steps):
        at = {name: value.detach().requires_grad_() for name, value in at.items()}
        damage = divergence(module, reference, module.answer(raster, at))
        slopes = torch.autograd.grad(damage, list(at.values()))
        with torch.no_grad():
            at = {
                name: value + size[name] * slope.sign()
                for (name, value), slope in zip(at.items(), slopes, strict=True)
            }
    return {name: value.detach() for name, value in at.items()}
