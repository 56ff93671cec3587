"""Right for the right reasons: gradients cost where nothing may count (Ross et al. 2017)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import Tensor

from hargcn.data.windows import Windows
from hargcn.networks.stgcn import MultiBranchSTGCN


class PenaltyConfig(BaseModel):
    """What a network is punished for heeding, while it learns.

    Ross, Hughes and Doshi-Velez 2017, Right for the Right Reasons: to the loss comes
    `weight` times the squares of the gradient of the summed log-probabilities of all classes, in
    the cells of a mask, added up over a window's cells, the mean over windows. It is measured on
    the windows as they are, before augmentation, through the batch statistics that it learns
    with. A gradient says how a score changes near a window: a network can also be flat there and
    still tell it from others. So judge what was learned on windows without the shortcut, and on
    some that have it in another class (`prepare.plant.decoys.classes`).

    Parameters
    ----------
    weight
        Of the penalty beside the loss. Ross et al. advise one that makes both about equally large
        at first; the log of a training says both.
    gradient
        Gradients to the "positions", all that the masked joints do there, through every branch; or
        to the "branches", the network's own inputs at these joints and frames. The positions of a
        joint also enter the bones, velocities and relative positions of cells that the mask does
        not name, so that branches may leave a way around.
    cells
        "distractor": cells that the windows file names so, such as planted decoys. None for whole
        joints only.
    joints
        Names of joints that nothing may rest on, in every window and at all times.
    windows
        Of how many windows of each batch it is measured, for the second backward pass takes several
        times as long as all else; None for all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(1.0, gt=0)
    gradient: Literal["positions", "branches"] = "positions"
    cells: Literal["distractor"] | None = None
    joints: tuple[str, ...] = ()
    windows: PositiveInt | None = None

    @model_validator(mode="after")
    def _masks_something(self) -> PenaltyConfig:
        if self.cells is None and not self.joints:
            raise ValueError("Expected cells or joints that a penalty is for (got none)")
        return self


class Penalty:
    """The penalty of one training.

    Parameters
    ----------
    config
        What is punished.
    model
        The network that learns.
    windows
        What it learns from.

    Raises
    ------
    ValueError
        For other outcomes than classes, joints that the skeleton does not have, and windows whose
        file names no distractors.
    """

    name = "penalty"

    def __init__(self, config: PenaltyConfig, model: MultiBranchSTGCN, windows: Windows) -> None:
        if model.outputs.kind != "classes":
            raise ValueError(
                f"Expected classes for train.penalty, which is of their probabilities (got "
                f"{model.outputs.kind} outputs)"
            )
        self.config, self.weight = config, config.weight
        self.mask = torch.from_numpy(_mask(config, windows))

    def __call__(
        self, model: MultiBranchSTGCN, positions: Tensor, valid: Tensor, index: np.ndarray
    ) -> Tensor:
        """Return the penalty of some windows, the mean over them; with a graph to the weights.

        Parameters
        ----------
        model
            The network, in its mode.
        positions, valid
            (n, C, T, V, M) and (n, T, M), the windows as they are.
        index
            (n,) their numbers within the training windows.
        """
        some = slice(self.config.windows)
        at = positions[some].detach().requires_grad_(self.config.gradient == "positions")
        x = model.features(at, valid[some])
        if self.config.gradient == "branches":
            at = x = x.detach().requires_grad_()
        score = model(x).log_softmax(dim=1).sum()
        (gradient,) = torch.autograd.grad(score, at, create_graph=True)
        mask = self.mask[torch.as_tensor(index[some])].to(gradient)
        between = (slice(None), *[None] * (gradient.ndim - 4), ..., None)
        return (gradient * mask[between]).square().flatten(1).sum(dim=1).mean()


def _mask(config: PenaltyConfig, windows: Windows) -> np.ndarray:
    """Return which cells (n, T, V) may not count."""
    _, frames, joints, _ = windows.shape
    mask = np.zeros((len(windows), frames, joints), dtype=bool)
    if config.cells == "distractor":
        named = windows.distractor()
        if named is None:
            raise ValueError(
                f"{windows.path}: expected windows whose distractors are known, for train.penalty."
                "cells=distractor (their file names none)"
            )
        mask |= named
    for joint in config.joints:
        mask[:, :, windows.skeleton.index(joint)] = True
    if not mask.any():
        raise ValueError(
            f"{windows.path}: expected training windows with cells that train.penalty is for "
            "(got none)"
        )
    return mask
