"""The loop behind :func:`nirbridge.finetune`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nirbridge.check.robustness import parameters
from nirbridge.deployment import Deployment
from nirbridge.finetuning import Loss, Settings
from nirbridge.progress import Track, bar
from nirbridge.torch import checkpoints
from nirbridge.torch.module import XyloModule
from nirbridge.torch.redeploy import redeployed
from nirbridge.torch.robust import CHUNK, attack, divergence, perturbed
from nirbridge.torch.speed import generator_of, quick

Tensor = torch.Tensor

OTHERS = 0.1  # thresholds, or shifts of a decay: what is not a weight
LARGEST = 1e3  # norm of all gradients; usual ones are below 200
NOISY = 5  # perturbed chips that judge a training with noise


class Score(NamedTuple):
    """How an epoch does on the samples kept apart.

    ``accuracy``: share of right decisions, None with a loss of one's own. ``hard``: the same of a
    chip that is perturbed as in training, None without. ``loss``: mean, without perturbation.
    """

    accuracy: float | None
    hard: float | None
    loss: float

    def better_than(self, other: Score) -> bool:
        """More right decisions, with and without perturbation together; then a smaller loss."""
        return self._rank() > other._rank()

    def _rank(self) -> tuple[float, float]:
        return (self.accuracy or 0.0) + (self.hard or 0.0), -self.loss


@dataclass
class Progress:
    """Where a training is: what a checkpoint holds beside the parameters.

    ``best``: the parameters of the best epoch, ``scores``: of the start and of each epoch.
    """

    best: dict[str, Tensor]
    scores: list[Score] = field(default_factory=list)
    best_epoch: int = 0

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.scores) - 1

    def add(self, score: Score, module: XyloModule) -> None:
        """Note how an epoch did, and keep its parameters if it is the best."""
        if not self.scores or score.better_than(self.scores[self.best_epoch]):
            self.best_epoch = len(self.scores)
            self.best = copied(module)
        self.scores.append(score)


def size(name: str, parameter: Tensor) -> float:
    """What a step of the optimiser is relative to.

    A step of Adam is as large as its rate, whatever the parameter. Slow neurons have weights a
    hundred times smaller than fast ones, which a fixed step destroys.
    """
    used = parameter.detach()[parameter.detach() != 0]
    if name.startswith("weights") and used.numel():
        return float(used.square().mean().sqrt())
    return OTHERS


def copied(module: XyloModule) -> dict[str, Tensor]:
    """The parameters by name, as they are now."""
    return {name: value.detach().cpu().clone() for name, value in module.named_parameters()}


@dataclass
class Trainer:
    """A module with its data and its optimiser."""

    module: XyloModule
    x: NDArray[Any]
    y: NDArray[Any]
    settings: Settings
    loss: Loss | None
    train: NDArray[np.int64] = field(init=False)
    held: NDArray[np.int64] = field(init=False)
    optimiser: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        order = np.random.default_rng(self.settings.seed).permutation(len(self.x))
        share = self.settings.validation
        n = min(max(round(share * len(order)), int(share > 0)), len(order) - 1)
        self.train, self.held = order[n:], order[:n] if n else order
        self.optimiser = torch.optim.Adam(
            {"params": [p], "lr": self.settings.rate * size(name, p)}
            for name, p in self.module.named_parameters()
            if p.requires_grad
        )
        self.device = next(self.module.parameters()).device

    def epoch(self, number: int) -> None:
        """Go through the samples once; what is drawn depends on seed and number alone."""
        seed = self.settings.seed
        order = np.random.default_rng([seed, number]).permutation(self.train)
        generator = generator_of(seed, number)
        for first in range(0, len(order), self.settings.batch):
            ids = order[first : first + self.settings.batch]
            self.optimiser.zero_grad()
            self._loss(ids, generator).backward()  # type: ignore[no-untyped-call]
            # where gradients exploded the norm is infinite, and the step is left out
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), LARGEST)
            self.optimiser.step()
            self.module.keep_in_range()

    def score(self) -> Score:
        """How the parameters do now on the samples kept apart."""
        accuracy, loss = self._judge(None)
        how, names, hard = self.settings, parameters(self.settings.perturbs), None
        if (how.noise or how.adversarial) and self.loss is None:
            generator = generator_of(how.seed)  # every epoch meets the same
            draws = range(NOISY if how.noise else 0)
            chips = [perturbed(self.module, how.noise, generator, names) for _ in draws]
            if how.adversarial:
                held = self.x[self.held]
                worst = attack(
                    self.module, held, how.adversarial, generator=generator, names=names
                )
                chips.append(worst)
            hard = float(np.mean([self._judge(chip)[0] for chip in chips]))
        return Score(None if self.loss else accuracy, hard, loss)

    def _judge(self, parameters: dict[str, Tensor] | None) -> tuple[float, float]:
        """Share of right decisions, and mean loss; the former is of no meaning without labels."""
        right, total = 0, 0.0
        with torch.no_grad():
            for first in range(0, len(self.held), CHUNK):
                ids = self.held[first : first + CHUNK]
                answer = self.module.answer(self.x[ids], parameters)
                total += float(self._task(answer, ids)) * len(ids)
                if self.loss is None:
                    chosen = answer.sum(dim=1).argmax(dim=1).cpu().numpy()
                    right += int((chosen == self.y[ids]).sum())
        return right / len(self.held), total / len(self.held)

    def _loss(self, ids: NDArray[np.int64], generator: torch.Generator) -> Tensor:
        module, x, how = self.module, self.x[ids], self.settings
        names = parameters(how.perturbs)
        noisy = perturbed(module, how.noise, generator, names) if how.noise else None
        found = self._task(module.answer(x, noisy), ids)
        if how.adversarial:
            worst = attack(module, x, how.adversarial, generator=generator, names=names)
            here = {name: getattr(module, name) for name in worst}
            # the perturbation counts as a constant: the gradient at Θ* is that at Θ
            there = {name: here[name] + (worst[name] - here[name]).detach() for name in worst}
            found = found + how.beta * divergence(
                module, module.answer(x), module.answer(x, there)
            )
        return found

    def _task(self, answer: Tensor, ids: NDArray[np.int64]) -> Tensor:
        wanted = torch.from_numpy(self.y[ids]).to(self.device)
        if self.loss is not None:
            found: Tensor = self.loss(answer, wanted)
            return found
        return torch.nn.functional.cross_entropy(self.module.logits(answer), wanted)


def train(
    deployment: Deployment,
    x: NDArray[Any],
    y: NDArray[Any],
    settings: Settings,
    loss: Loss | None,
    checkpoint: Path | None,
    device: Any,
    track: Track | None,
) -> Deployment:
    """See :func:`nirbridge.finetune`; the arguments are checked already."""
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    module = XyloModule(deployment, settings.decays).to(place)
    trainer = Trainer(module, x, y, settings, loss)
    mark = checkpoints.fingerprint(deployment, x, y, settings, loss)
    before = None
    if checkpoint is not None:
        before = checkpoints.resume(checkpoint, mark, module, trainer.optimiser)
    with quick():
        state = before or Progress({})
        if before is None:
            state.add(trainer.score(), module)
        left = list(range(state.epoch + 1, settings.epochs + 1))
        for number in (track or bar("training"))(left):
            if state.epoch - state.best_epoch >= settings.patience:
                break
            trainer.epoch(number)
            state.add(trainer.score(), module)
            if checkpoint is not None:
                checkpoints.write(checkpoint, mark, state, module, trainer.optimiser)
    module.load_state_dict(state.best)
    return redeployed(module, settings, state.scores, state.best_epoch, len(trainer.held))
