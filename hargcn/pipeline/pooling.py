"""What the networks of a cross-fitting say of all subjects together: figures and predictions."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from hargcn.data.windows import Windows
from hargcn.files import replacing
from hargcn.training import outcomes
from hargcn.training.classification import Evaluation, by_recording, evaluation
from hargcn.training.intervals import intervals, limits

_ABOUT = {
    "pooled": "the figures of all subjects at once; its roc_auc and correlations compare what "
    "several networks say, whose calibrations differ, and are the lower for it",
    "mean_over_folds": "the mean of each fold's figures over the folds in which they are defined; "
    "its roc_auc and correlations compare what one network says only",
    "interval": "95%, of resampled subjects; how much another training or another deal of the "
    "subjects would change is not in it",
}


@dataclass(frozen=True, eq=False)
class Pool:
    """What was said of the windows of known outcome, each by the network that never saw it.

    Parameters
    ----------
    data
        These windows, N of them.
    said
        (N, output) probabilities of classes or labels, log-odds of levels, values.
    fold
        (N,) which fold tested each, counted from 1.
    aggregate
        How what is said of a recording comes from its windows: "mean" or "median".
    """

    data: Windows
    said: np.ndarray
    fold: np.ndarray
    aggregate: Any

    @classmethod
    def of(
        cls,
        data: Windows,
        tested: Sequence[np.ndarray],
        parts: Sequence[Mapping[str, Any]],
        aggregate: Any,
    ) -> Pool:
        """Put the folds together.

        Parameters
        ----------
        data
            All windows.
        tested
            Of each fold (window,) bool, which it tested.
        parts
            Of each fold `said` of those of known outcome among them, in their order.
        aggregate
            "mean" or "median".
        """
        said = np.full((len(data), len(data.outputs.columns)), np.nan)
        number = np.zeros(len(data), int)
        for at, (own, part) in enumerate(zip(tested, parts, strict=True), 1):
            said[own & data.known], number[own] = part["said"], at
        known = np.flatnonzero(data.known)
        return cls(data.subset(known), said[known], number[known], aggregate)

    def figures(self) -> dict[str, Any]:
        """Return `about`, `pooled` and `mean_over_folds`, each per window and per recording."""
        first, wanted, said = self._recordings()
        groups = self.data.group
        levels = {
            "windows": (self.data.wanted, self.said, groups, self.fold),
            "recordings": (wanted, said, groups[first], self.fold[first]),
        }
        means = {level: self._mean(*of) for level, of in levels.items()}
        return {"about": _ABOUT, "pooled": self._pooled().to_dict(), "mean_over_folds": means}

    def write_predictions(self, path: Path) -> None:
        """Write a row per recording, in the order of the windows file.

        Of classes and levels its label and the predicted one, then probabilities; of several labels
        0 or 1 and the probability of each; of a regression the outcome and what was said of each.
        """
        first, wanted, said = self._recordings()
        outputs, data = self.data.outputs, self.data
        name = "said" if outputs.kind == "regression" else "p"
        columns = [f"{name}({column})" for column in outputs.columns]
        own = ["label", "predicted"] if outputs.listed else [f"label({n})" for n in outputs.names]
        if outputs.kind == "regression":
            own = [f"outcome({name})" for name in outputs.names]
        with (
            replacing(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as stream,
        ):
            rows = csv.writer(stream)
            rows.writerow(["recording", "subject", "fold", *own, *columns])
            for i in np.argsort(first):
                at = first[i]
                about = [data.sample[at], data.group[at], self.fold[at]]
                answers = expit(said[i]) if outputs.kind == "ordinal" else said[i]
                numbers = [f"{each:.6f}" for each in answers]
                rows.writerow([*about, *self._outcome(wanted[i], said[i]), *numbers])

    def _outcome(self, wanted: Any, said: np.ndarray) -> list[str]:
        """Return a recording's outcome as text, of classes and levels the predicted one, too."""
        outputs = self.data.outputs
        if not outputs.listed:
            return ["" if np.isnan(each) else f"{each:g}" for each in wanted]
        guess = int((said > 0).sum()) if outputs.kind == "ordinal" else int(said.argmax())
        return [outputs.names[wanted], outputs.names[guess]]

    def _recordings(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each recording's first window, its outcome, and what is said of it."""
        data = self.data
        if data.outputs.kind != "classes":
            return outcomes.outcomes_by_recording(
                data.sample, data.wanted, self.said, self.aggregate
            )
        _, first = np.unique(data.sample, return_index=True)
        _, labels, said = by_recording(data.sample, data.label, self.said, self.aggregate)
        return first, labels, said

    def _pooled(self) -> Evaluation:
        data, outputs = self.data, self.data.outputs
        if outputs.kind == "classes":
            return evaluation(
                data.label, self.said, data.sample, data.group, data.classes,
                aggregate=self.aggregate,
            )  # fmt: skip
        spread = np.ones(len(outputs.names))
        if outputs.kind == "regression":  # each network had units of its own
            own = np.nanstd(data.wanted.astype(float), axis=0)
            spread = np.where(own > 0, own, 1)
        return outcomes.outcome_evaluation(
            data.wanted, self.said, data.sample, data.group, outputs, spread,
            aggregate=self.aggregate,
        )  # fmt: skip

    def _mean(
        self, wanted: np.ndarray, said: np.ndarray, groups: np.ndarray, folds: np.ndarray
    ) -> dict[str, Any]:
        if self.data.outputs.kind != "classes":
            return outcomes.mean_over_folds(wanted, said, self.data.outputs, groups, folds)
        found = intervals(wanted, said.argmax(axis=1), said, groups, folds)
        values = {name: float(each.estimate) for name, each in found.items()}
        return {
            **{name: value if np.isfinite(value) else None for name, value in values.items()},
            "interval": limits(found),
        }
