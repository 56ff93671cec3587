"""Settings of a training, and how weights move: steps, their size, averages, batch statistics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from hargcn.training.augment import AugmentConfig
from hargcn.training.distillation import DistilConfig
from hargcn.training.penalty import PenaltyConfig

Monitor = Literal[
    "accuracy", "balanced_accuracy", "roc_auc", "f1", "loss", "mae", "rmse", "r2", "spearman",
    "kappa", "exact_match",
]  # fmt: skip


class TrainConfig(BaseModel):
    """How a network is trained.

    Parameters
    ----------
    epochs
        Passes over the training windows.
    batch_size
        Windows per step.
    starts
        Windows that each epoch cuts anew from each recording, of all classes or by class
        (`{healthy: 5, cp: 30}`), from random places; behind its end a recording begins anew. None
        for the windows as they are.
    optimizer
        "adamw", or "sgd" with Nesterov momentum 0.9.
    lr
        Largest learning rate.
    weight_decay
        Decay of the convolutions' and the head's weights; biases, norms and edge importances
        do not decay.
    schedule
        "cosine": linear warm-up, then a half cosine to 0. "onecycle": torch's one-cycle policy,
        which cycles the momentum too. "constant": warm-up only. "steps": warm-up, then half the
        rate from each of the `milestones` on (Tempel et al. 2024).
    milestones
        Epochs, counted from 1, behind which "steps" halves the rate.
    warmup
        Share of all steps spent warming up; from 1 on the number of epochs.
    warmup_from
        Share of the rate that warming up begins with; null for that of its first step, as if it
        had begun with 0 a step before.
    clip
        Largest norm of the gradient; None for no limit.
    label_smoothing
        Share of the target that is spread over all classes, or over both answers to a label or a
        level; a regression has none.
    class_weights
        "balanced" weights classes or levels by the inverse of their frequency, and a label that is
        there by how rare it is; or one weight per class, level or label. A regression takes none.
    ema
        Decay of the exponential moving average of the weights that is validated and kept instead
        of the last step's weights; it grows to this value over the first steps.
    recalibrate
        Whether the batch statistics of the chosen weights are measured anew at the end, on the
        training windows without augmentation.
    patience
        Stop after this many epochs without a better validation figure.
    select
        "best" keeps the epoch with the best validation figure (of equals, the one with the lowest
        loss), "last" the last. By default the best, or the last where no window is in the
        validation set.
    monitor
        The validation figure, over windows. Of classes `accuracy`, `balanced_accuracy`, `roc_auc`,
        `f1`, by default `roc_auc` for two, else `accuracy`. Of a regression `loss` (default),
        `mae`, `rmse`, `r2`, `spearman`; of levels `mae` (default), `loss`, `accuracy`, `kappa`,
        `spearman`; of several labels `roc_auc` (default), `loss`, `f1`, `exact_match`.
    seed
        Everything random follows from it.
    device
        "auto" takes CUDA where there is one.
    bf16
        Whether to compute the forward pass in bfloat16.
    workers
        Processes that read windows which do not fit into memory.
    threads
        CPU threads; by default torch's own choice.
    augment
        Random changes of the training windows; None for none.
    penalty
        What the network is punished for heeding; None for nothing.
    distil
        What it learns from another network; None for nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(60, ge=1)
    batch_size: int = Field(16, ge=2)
    starts: PositiveInt | dict[str, PositiveInt] | None = None
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    schedule: Literal["cosine", "onecycle", "constant", "steps"] = "cosine"
    milestones: tuple[PositiveInt, ...] = ()
    warmup: float = Field(0.1, ge=0)
    warmup_from: float | None = Field(None, gt=0, le=1)
    clip: float | None = Field(None, gt=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    class_weights: Literal["balanced"] | tuple[float, ...] | None = None
    ema: float | None = Field(None, gt=0, lt=1)
    recalibrate: bool = False
    patience: int | None = Field(None, ge=1)
    select: Literal["best", "last"] | None = None
    monitor: Monitor | None = None
    seed: int = Field(1234, ge=0)
    device: str = "auto"
    bf16: bool = False
    workers: int = Field(0, ge=0)
    threads: int | None = Field(None, ge=1)
    augment: AugmentConfig | None = AugmentConfig()
    penalty: PenaltyConfig | None = None
    distil: DistilConfig | None = None

    @model_validator(mode="after")
    def _warm_in_time(self) -> TrainConfig:
        if self.warmup >= self.epochs:
            raise ValueError(
                f"Expected a warmup that ends before the training, after {self.epochs} epochs "
                f"(got {self.warmup:g})"
            )
        if (self.schedule == "steps") != bool(self.milestones):
            raise ValueError(
                "Expected milestones with schedule 'steps', and with no other (got schedule "
                f"{self.schedule!r} and milestones {list(self.milestones)})"
            )
        if self.penalty is not None and self.starts is not None:
            raise ValueError(
                "Expected no starts with a penalty, which names cells of the windows as they are "
                f"(got starts {self.starts})"
            )
        return self


def optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimiser of a network's parameters."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        # An edge importance says how much of a given edge is kept: 0 is not its neutral value.
        is_free = parameter.ndim < 2 or name.endswith(".edge")
        (free if is_free else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, config.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, config.lr)


def schedule(optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int) -> LRScheduler:
    """Return the course of the learning rate over `steps` steps."""
    warm = config.warmup * steps / (config.epochs if config.warmup >= 1 else 1)
    if config.schedule == "onecycle":
        return OneCycleLR(optimizer, config.lr, total_steps=steps, pct_start=warm / steps)
    halvings = [epoch * steps / config.epochs for epoch in config.milestones]
    start = config.warmup_from

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1) if start is None else start + (1 - start) * step / warm
        if config.schedule == "constant":
            return 1.0
        if config.schedule == "steps":
            return 0.5 ** sum(step >= each for each in halvings)
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))

    return LambdaLR(optimizer, factor)


@torch.no_grad()
def move_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Let an exponential moving average of weights and batch statistics follow a network.

    The decay starts low, min(decay, (1 + step) / (10 + step)), so that the initial weights are
    soon forgotten.
    """
    keep = min(decay, (1 + step) / (10 + step))
    theirs = chain(model.parameters(), model.buffers())
    for value, now in zip(chain(average.parameters(), average.buffers()), theirs, strict=True):
        if value.is_floating_point():
            value.lerp_(now, 1 - keep)
        else:
            value.copy_(now)


@torch.no_grad()
def recalibrate(model: nn.Module, inputs: Iterable[Tensor]) -> None:
    """Measure the batch norms' statistics anew: the mean over `inputs`, all else in eval mode."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean
        norm.train()
    for x in inputs:
        model(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


@contextmanager
def reproducibly(seed: int, device: torch.device, threads: int | None = None) -> Iterator[None]:
    """Seed torch's own generators (dropout, initial weights) and leave everything as it was after.

    Parameters
    ----------
    seed
        The seed inside.
    device
        Its generator is restored too.
    threads
        CPU threads inside.
    """
    before = torch.get_num_threads()
    cuda = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=cuda),
        torch.backends.cudnn.flags(benchmark=False, deterministic=True),
    ):
        torch.manual_seed(seed)
        torch.set_num_threads(threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)
