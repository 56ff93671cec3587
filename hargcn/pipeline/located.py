"""What localisation looks at, and what its figures stand beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hargcn.metrics.model_free import acceleration, joint_prior, model_free
from hargcn.metrics.registry import METRICS, Case
from hargcn.metrics.table import MetricTable
from hargcn.outputs import outputs_of
from hargcn.pipeline.case import ExplainedWindows
from hargcn.pipeline.marks import Marked


def check_heeded(metrics: Sequence[str], case: Case) -> None:
    """Refuse marks, and observed cells only, where no measure heeds them."""
    asked = bool(case.marks) or case.seen is not None
    if asked and not any(METRICS[name].seen for name in metrics):
        raise ValueError(
            f"Expected localisation among the metrics, which alone heeds marks and observed cells "
            f"(got {', '.join(metrics)})"
        )


def maps_without_network(
    opened: ExplainedWindows, case: Case, batch: int = 256
) -> dict[str, np.ndarray]:
    """Return the maps that no network was asked for; of training windows the class prior."""
    if case.truth is None and not case.marks:
        return {}
    prior = None
    if "train" in opened.data.split and outputs_of(opened.model).kind == "classes":
        train = opened.data.subset("train")
        parts = (train.subset(slice(at, at + batch)) for at in range(0, len(train), batch))
        batches = ((acceleration(part.positions()), part.label) for part in parts)
        target = next(iter(opened.explanations.values())).target.to_numpy()
        prior = joint_prior(batches, target)
    if case.truth is not None:
        return model_free(opened.windows.positions(), case.truth, prior)
    marked = np.any([*case.marks.values()], axis=0)
    maps = model_free(opened.windows.positions(), marked, prior)
    return {"marked joints": maps.pop("sign's joints"), **maps}


def noted(found: MetricTable, case: Case, marked: Marked) -> MetricTable:
    """Return a table that says how far annotators agree, and which cells each measure looked at.

    The ceiling of an annotator's figures is what the marks of the others score.
    """
    named = found.rows["metric"].str
    if case.marks:
        own = named.split(":").str[1].isin(list(case.marks))
        ceiling = found.rows["metric"].map(marked.ceilings(case.seen))
        rows = found.rows.assign(ceiling=found.rows["ceiling"].where(~own, ceiling))
        found = replace(found, rows=rows, raters=marked.agreement(case.seen))
    if case.seen is not None:
        heeds = [METRICS[str(name)].seen for name in named.partition(":")[0]]
        found = replace(found, rows=found.rows.assign(cells=np.where(heeds, "observed", "all")))
    return found
