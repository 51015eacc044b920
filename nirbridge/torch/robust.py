"""Perturbed parameters: random ones, and those that do the most damage (arXiv 2106.05009)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from nirbridge.check.metrics import decisions
from nirbridge.check.robustness import ALL, Job, parameters
from nirbridge.torch.module import XyloModule
from nirbridge.torch.speed import generator_of, quick

Tensor = torch.Tensor

PERTURBED = parameters(ALL)
STEPS = 10
START = 1e-3  # relative noise from which the ascent begins: at Θ itself the gradient is 0
CHUNK = 256  # samples that are run at a time
FLOOR = 1e-6  # of a probability, inside the logarithm


def perturbed(
    module: XyloModule,
    size: float,
    generator: torch.Generator | None = None,
    names: Sequence[str] = PERTURBED,
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
    names
        Of the parameters.

    """
    found = {}
    for name in names:
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
    names: Sequence[str] = PERTURBED,
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
    names
        Of the parameters that are perturbed.

    Returns
    -------
    dict of str to Tensor
        The perturbed parameters, constant, for ``module(raster, parameters)``.

    """
    pieces = torch.split(torch.from_numpy(np.asarray(raster)), CHUNK)
    with torch.no_grad():
        references = [module.answer(piece) for piece in pieces]
        at = perturbed(module, START, generator, names)
        size = {n: bound / steps * getattr(module, n).abs() * module.meaningful(n) for n in at}
    for _ in range(steps):
        at = {name: value.detach().requires_grad_() for name, value in at.items()}
        for piece, reference in zip(pieces, references, strict=True):
            damage = divergence(module, reference, module.answer(piece, at))
            torch.autograd.backward(damage * len(piece))
        with torch.no_grad():
            at = {name: value + size[name] * _slope(value).sign() for name, value in at.items()}
    return {name: value.detach() for name, value in at.items()}


def _slope(value: Tensor) -> Tensor:
    assert value.grad is not None
    return value.grad


def attacked_accuracy(job: Job, bound: float) -> float:
    """Share of right decisions on counts (B, T, n_in) of the chip that :func:`attack` finds."""
    module, counts = XyloModule(job.deployment), job.counts
    generator = generator_of(job.seed)
    with quick():
        at = attack(module, counts, bound, generator=generator, names=job.perturbs)
        right = 0
        with torch.no_grad():
            for first in range(0, len(counts), CHUNK):
                answer = module.answer(counts[first : first + CHUNK], at)
                chosen = decisions(answer.cpu().numpy())
                right += int((chosen == job.labels[first : first + CHUNK]).sum())
    return right / len(job.labels)
