"""A training under way: what changes from epoch to epoch, and can be saved and resumed."""

from __future__ import annotations

import copy
import hashlib
import math
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.data.windows import Windows
from hargcn.networks.stgcn import ModelConfig, MultiBranchSTGCN
from hargcn.training.augment import Augment
from hargcn.training.batches import Batches, check, parts, steps
from hargcn.training.classification import Evaluation
from hargcn.training.distillation import Distillation
from hargcn.training.objectives import LOWER, MONITORS, expect_monitored, monitored, objective
from hargcn.training.optimisation import (
    TrainConfig,
    move_average,
    optimiser,
    recalibrate,
    reproducibly,
    schedule,
)
from hargcn.training.outcomes import judge, of_known_outcome
from hargcn.training.penalty import Penalty
from hargcn.training.processes import Processes, launched
from hargcn.training.starts import Starts

Build = Callable[[], MultiBranchSTGCN]
Row = dict[str, float | None]
_EQUIVALENT = {"device", "workers", "threads"}  # settings that a resumed run may change


class Trainer:
    """One training: data, network, averages, optimiser and history.

    Parameters
    ----------
    model
        The architecture, or a function that builds (or loads) a network.
    windows
        Labelled windows with their sets.
    config
        How to train.

    Raises
    ------
    ValueError
        As `hargcn.training.fit.fit` says.
    """

    def __init__(self, model: ModelConfig | Build, windows: Windows, config: TrainConfig) -> None:
        self.config = config
        self.device = _device(config.device)
        self.train = of_known_outcome(windows.subset("train"))
        self.val = of_known_outcome(windows.subset("val")) if "val" in windows.split else None
        with self._seeded(0):
            self.model = (
                MultiBranchSTGCN(model, windows.skeleton, windows.outputs)
                if isinstance(model, ModelConfig)
                else model()
            ).to(self.device)
        check(self.model, self.train)
        if self.val is not None:
            check(self.model, self.val)
        self.monitor = monitored(config, self.model.outputs)
        self.select = _selection(config, self.val)
        chooses = self.select == "best" or config.patience is not None or config.monitor is not None
        if self.val is not None and chooses:
            expect_monitored(self.monitor, self.val)
        self.objective = objective(
            config, self.model, self.train, new=isinstance(model, ModelConfig)
        )
        self.loss = self.objective.loss.to(self.device)
        self.augment = config.augment and Augment(
            config.augment, self.model.skeleton, self.model.outputs
        )
        self.batches = (
            Batches(self.train, config.workers)
            if config.starts is None
            else Starts(self.train, config.starts, config.workers)
        )
        self.val_batches = None if self.val is None else Batches(self.val, config.workers)
        self.penalty = self.distillation = None
        if config.penalty is not None:
            self.penalty = Penalty(config.penalty, self.model, self.train)
        if config.distil is not None:
            self.distillation = Distillation(config.distil, self.model, self.train)
        self.steps = steps(len(self.batches), config.batch_size)
        self.average = copy.deepcopy(self.model) if config.ema else self.model
        self.optimiser = optimiser(self.model, config)
        self.schedule = schedule(self.optimiser, config, config.epochs * self.steps)
        self.processes = Processes()
        self.spread: nn.Module = self.model
        self.history: list[Row] = []
        self.best: dict[str, Any] = {"epoch": 0, "figure": -math.inf, "loss": math.inf}

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or patience has run out."""
        patience = self.config.patience
        out_of_patience = patience is not None and self.epoch - self.best["epoch"] >= patience
        return self.epoch >= self.config.epochs or out_of_patience

    def share(self, processes: Processes) -> None:
        """Train together with other processes, each on its rows of every batch.

        Raises
        ------
        ValueError
            For batches that are too small for them.
        """
        self.processes, self.spread = processes, self.model
        if processes.count == 1:
            return
        each = len(self.batches) // self.steps // processes.count
        if each < 2:
            raise ValueError(
                f"Expected at least 2 windows of a batch for each of {processes.count} processes "
                f"(got {each}): take fewer, or a larger train.batch_size"
            )
        self.spread = processes.wrapped(self.model)

    def go_on(self, advance: Callable[[str], None]) -> None:
        """Go once through the training windows, then validate.

        Parameters
        ----------
        advance
            Called after every step with a line about the last epoch.
        """
        began = time.perf_counter()
        epoch = self.epoch + 1
        with self._seeded(epoch):
            draw = torch.Generator().manual_seed(torch.initial_seed())
            self.batches.draw(draw)
            order = torch.randperm(len(self.batches), generator=draw).numpy()
            if self.processes.rank:  # dropout of its own
                torch.manual_seed(torch.initial_seed() + self.processes.rank)
            self.model.train()
            total: Counter[str] = Counter()
            size = self.config.batch_size
            for index, batch in zip(
                parts(order, size), self.batches.in_order(order, size), strict=True
            ):
                total.update(self._step(*batch, index, draw))
                advance(self._said())
            sums = self.processes.summed(total)
            means = {name: float(each) / len(self.batches) for name, each in sums.items()}
            for name, mean in means.items():
                if name != self.objective.figure and not math.isfinite(mean):
                    raise ValueError(
                        f"Expected a finite {name} in epoch {epoch} (got {mean}): a lower lr, or "
                        "clip"
                    )
            row: Row = {"epoch": epoch, "lr": float(self.schedule.get_last_lr()[0])}
            row |= {f"train_{name}": mean for name, mean in means.items()}
            row |= self.processes.agreed(self._validated(epoch) if self.processes.first else {})
            best = {name: self.best[name] for name in ("epoch", "figure", "loss")}
            self.best |= self.processes.agreed(best)
        self.history.append({**row, "seconds": round(time.perf_counter() - began, 2)})

    def _step(
        self,
        positions: Tensor,
        valid: Tensor,
        labels: Tensor,
        index: np.ndarray,
        draw: torch.Generator,
    ) -> dict[str, Tensor]:
        """Move the weights once; return sums over the batch: the loss, the figure, what else costs.

        The loss is that of the labels alone.
        """
        positions, valid = positions.to(self.device), valid.to(self.device)
        labels, as_read = labels.to(self.device), (positions, valid)
        if self.augment:
            positions, valid, labels = self.augment(positions, valid, labels, draw)
        whole_batch = len(labels)
        positions, valid, labels = map(self.processes.share, (positions, valid, labels))
        x = self.model.features(positions, valid)
        distil = self.distillation
        heard: AbstractContextManager[dict[str, Tensor]] = nullcontext({})
        if distil is not None:
            heard = distil.heard(self.model)
        with heard as seen, torch.autocast(self.device.type, torch.bfloat16, self.config.bf16):
            logits = self.spread(x)
        loss = self.loss(logits.float(), labels)
        beside: dict[str, Tensor] = {}
        weights: dict[str, float] = {}
        if distil is not None:
            said = seen["activation"], logits
            beside |= distil(self.model, *said, positions, valid, labels, draw)
            weights |= distil.weights
        if self.penalty is not None:
            beside["penalty"] = self._penalised(*as_read, index, len(labels) / whole_batch)
            weights["penalty"] = self.penalty.weight
        whole = loss + sum(weights[name] * each for name, each in beside.items())
        self.optimiser.zero_grad()
        # Gradients become the mean over processes, which may have a row more or less.
        (whole * (len(labels) * self.processes.count / whole_batch)).backward()
        if self.config.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimiser.step()
        self.schedule.step()
        if self.config.ema:
            move_average(self.average, self.model, self.config.ema, self.schedule.last_epoch)
        sums = {"loss": loss.detach() * len(labels)}
        sums[self.objective.figure] = self.objective.good(logits.detach(), labels)
        return sums | {name: each.detach() * len(labels) for name, each in beside.items()}

    def _penalised(
        self, positions: Tensor, valid: Tensor, index: np.ndarray, share: float
    ) -> Tensor:
        """Return the penalty of this process' windows, as a mean over its share of the batch."""
        assert self.penalty is not None
        some = torch.arange(len(index))[: self.penalty.config.windows]
        own = self.processes.share(some)
        if not len(own):
            return positions.new_zeros(())
        found = self.penalty(self.model, positions[own], valid[own], index[own.numpy()])
        return found * (len(own) / len(some) / share)

    def _validated(self, epoch: int) -> Row:
        """Return the validation figures of an epoch, and remember the weights if it is the best."""
        if self.val_batches is None:
            return {}
        figures = judge(self.average, self.val_batches, device=self.device, intervals=False).windows
        loss, figure = figures["loss"], figures[self.monitor]
        better = -math.inf  # where undefined: a network may say the same of everybody
        if figure is not None:
            better = -figure if self.monitor in LOWER else figure
        # Of equal figures the one with the lower loss: figures saturate on small sets.
        if (better, -loss) > (self.best["figure"], -self.best["loss"]):
            self.best = {"epoch": epoch, "figure": better, "loss": loss}
            if self.select == "best":
                self.best["weights"] = copy.deepcopy(self.average.state_dict())
        shown = dict.fromkeys(("loss", *MONITORS[self.model.outputs.kind]))
        return {f"val_{name}": figures[name] for name in shown}

    def _said(self) -> str:
        return f"epoch {self.epoch + 1}{f': {self.said()}' if self.history else ''}"

    def said(self) -> str:
        """Return the loss of the last epoch, and its validation figure, in words."""
        last = self.history[-1]
        said = f"loss {last['train_loss']:.3f}"
        if self.val is not None:
            figure = last[f"val_{self.monitor}"]
            shown = "undefined" if figure is None else f"{figure:.3f}"
            said += f", val {self.monitor} {shown}"
        return said

    # -- saving and finishing --------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what a later process needs to go on, in types that are safe to load."""
        return {
            "signature": self._signature(),
            "model": self.model.state_dict(),
            "average": self.average.state_dict() if self.config.ema else None,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": self.history,
            "best": self.best,
        }

    def restore(self, path: Path) -> None:
        """Take over a state that `state` gave and somebody saved.

        Raises
        ------
        ValueError
            If it is damaged, or from a run with other settings, network or data.
        """
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            theirs = state["signature"]
        except Exception as error:  # torch and pickle raise many kinds for a damaged file
            raise ValueError(
                f"{path}: expected the state of a training ({type(error).__name__})"
            ) from error
        mine = self._signature()
        differ = sorted(key for key in mine.keys() | theirs if mine.get(key) != theirs.get(key))
        if differ:
            raise ValueError(
                f"{path}: expected the state of the same training (other: {', '.join(differ)}); "
                "do not resume, or write to another folder"
            )
        self.model.load_state_dict(state["model"])
        if state["average"] is not None:
            self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.history, self.best = state["history"], state["best"]

    def finish(self) -> tuple[int, Evaluation | None]:
        """Give `average` the chosen weights; return their epoch and figures."""
        epoch = self.epoch
        if "weights" in self.best:
            self.average.load_state_dict(self.best["weights"])
            epoch = self.best["epoch"]
        with self._seeded(0):
            if self.config.recalibrate:
                self.batches.draw(torch.Generator().manual_seed(torch.initial_seed()))
                order = np.arange(len(self.batches))
                recalibrate(
                    self.average,
                    (
                        self.average.features(p.to(self.device), v.to(self.device))
                        for p, v, _ in self.batches.in_order(order, self.config.batch_size)
                    ),
                )
            self.average.eval()
            if self.val_batches is None:
                return epoch, None
            return epoch, judge(self.average, self.val_batches, device=self.device)

    def _signature(self) -> dict[str, Any]:
        rows = [self.train.rows] if self.val is None else [self.train.rows, self.val.rows]
        split = hashlib.sha256(b"".join(part.tobytes() for part in rows)).hexdigest()[:16]
        distil = self.distillation
        count = self.processes.count
        return {
            **self.config.model_dump(mode="json", exclude=_EQUIVALENT),
            **({"processes": count} if count > 1 else {}),
            "teacher": None if distil is None else distil.teacher.card["weights"],
            "model": self.model.config.model_dump(mode="json"),
            "windows": self.train.digest,
            "split": split,
        }

    def _seeded(self, epoch: int) -> AbstractContextManager[None]:
        seed = np.random.SeedSequence([self.config.seed, epoch]).generate_state(1)[0]
        return reproducibly(int(seed), self.device, self.config.threads)


def _device(name: str) -> torch.device:
    if name in ("auto", "cuda") and torch.cuda.is_available():
        return torch.device(f"cuda:{os.environ['LOCAL_RANK']}" if launched() else "cuda")
    if name == "auto":
        return torch.device("cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"Expected a CUDA device for device {name} (got none): use cpu or auto")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"Expected device auto, cpu or cuda (got {name!r})") from error


def _selection(config: TrainConfig, val: Windows | None) -> str:
    """Return how the epoch is selected."""
    if val is None and (config.select == "best" or config.patience is not None):
        asked = "select: best" if config.select == "best" else "patience"
        raise ValueError(f"Expected windows in the set val for {asked} (got none)")
    return config.select or ("last" if val is None else "best")
