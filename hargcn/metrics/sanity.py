"""Sanity: whether an explanation depends on what the model learnt and on the class asked for."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import count, pairwise

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from hargcn.analysis.statistics import rank_correlation
from hargcn.explainers.hooks import watch
from hargcn.explanation import Explanation
from hargcn.metrics.faithfulness import per_sample
from hargcn.metrics.maps import cells, check
from hargcn.metrics.masking import Explainer, explain_again
from hargcn.metrics.runner import Runner


def randomisation(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    explainer: Explainer,
    *,
    stages: int = 4,
    absolute: bool = False,
    run: Runner | None = None,
) -> xr.DataArray:
    """Rank correlation with the maps of the same model, its parameters randomised top down.

    Parameter-randomisation cascade (Adebayo et al. 2018, section 4), see `cascade`. An explanation
    that stays the same (1) does not depend on what was learnt; 0 is sound.

    Returns
    -------
    xarray.DataArray
        (sample, stage) Spearman correlations over cells; `stage` is the share of modules
        randomised. A constant map correlates with nothing: NaN.
    """
    check(x, explanation)
    run = run or Runner()
    target = explanation.target.to_numpy()
    original = _flat(cells(explanation, x.shape[-3]), absolute)
    ready = run.prepare(x[:1], np.arange(1)).detach()
    shares, similar = [], []
    for share, broken in cascade(model, ready, stages, run.seed):
        again = _flat(explain_again(explainer, broken, x, target, run), absolute)
        similar.append(rank_correlation(original, again))
        shares.append(share)
    coords = {
        "sample": explanation.values["sample"].to_numpy(),
        "stage": shares,
    }
    return xr.DataArray(np.stack(similar, 1), coords, ("sample", "stage"), name="randomisation")


def class_sensitivity(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    explainer: Explainer,
    *,
    run: Runner | None = None,
) -> xr.DataArray:
    """Rank correlation of the map with that of the most probable other class.

    Class sensitivity (Choi, part 1; Zheng et al. 2022). 1 means that the same map explains every
    class; lower is better (two classes of a linear model are exact opposites, -1).
    """
    check(x, explanation)
    run = run or Runner()
    target = explanation.target.to_numpy()
    logits = run.logits(model, x)
    logits[np.arange(len(x)), target] = -np.inf
    again = explain_again(explainer, model, x, logits.argmax(1), run)
    similar = rank_correlation(_flat(cells(explanation, x.shape[-3])), _flat(again))
    return per_sample(similar, explanation, "class-sensitivity")


def cascade(
    model: nn.Module, x: Tensor, stages: int, seed: int
) -> Iterator[tuple[float, nn.Module]]:
    """Yield a network whose parameters become random from its output down, step by step.

    In `stages` steps and cumulatively, every parameter, edge importances included, is replaced by
    Gaussian numbers of its own mean and standard deviation (Adebayo et al. 2018, section 4).

    Parameters
    ----------
    model
        Never changed.
    x
        An input of it: running it tells which module comes after which.
    stages
        Steps, at most one per module with parameters of its own.
    seed
        Of the numbers.

    Yields
    ------
    tuple of float and Module
        The share of such modules that are random, and a copy of the network, the same every time.
    """
    broken = copy.deepcopy(model)
    owners = _from_the_output(broken, x)
    rng = torch.Generator().manual_seed(seed)
    edges = np.linspace(0, len(owners), min(stages, len(owners)) + 1).astype(int)
    for start, stop in pairwise(edges):
        for module in owners[start:stop]:
            randomise(module, rng)
        yield stop / len(owners), broken


def _from_the_output(model: nn.Module, x: Tensor) -> list[nn.Module]:
    """Return the modules with parameters of their own, what ended last first.

    A module that is never called itself, whose parameters others read, goes with the one above it.
    """
    ended: dict[nn.Module, int] = {}
    times = count()
    watch(model, x, model.modules(), lambda module, *_: ended.update({module: next(times)}))
    for module in model.modules():  # from the top down
        for child in module.children():
            ended.setdefault(child, ended.get(module, -1))
    owners = [each for each in model.modules() if list(each.parameters(recurse=False))]
    return sorted(reversed(owners), key=lambda each: -ended.get(each, -1))


@torch.no_grad()
def randomise(module: nn.Module, rng: torch.Generator) -> None:
    """Replace a module's own parameters by Gaussian numbers of their mean and spread."""
    for parameter in module.parameters(recurse=False):
        spread = float(parameter.std(correction=0))
        noise = torch.randn(parameter.shape, generator=rng).to(parameter)
        parameter.copy_(parameter.mean() + spread * noise)


def _flat(maps: np.ndarray, absolute: bool = False) -> np.ndarray:
    flat = maps.reshape(len(maps), -1)
    return np.abs(flat) if absolute else flat
