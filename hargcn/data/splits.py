"""Splits into training, validation and test: by who moved, never by window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hargcn.checks import nearest
from hargcn.outputs import Outputs

SETS = ("train", "val", "test")


def _texts(ids: Any) -> Any:
    """YAML reads `[1, 3]` as numbers; ids are text."""
    return tuple(str(i) for i in ids) if isinstance(ids, list | tuple | set | range) else ids


Ids = Annotated[tuple[str, ...], BeforeValidator(_texts)]


class SplitConfig(BaseModel):
    """Which recordings train, validate and test.

    Parameters
    ----------
    by
        What the ids below name: the group (subject), camera, set-up or sample of a recording.
    train, val, test
        Ids. Where only one of `train` and `test` is given, the other is the rest; where neither is,
        everything trains that is not drawn.
    published
        The name of a split that the data set's authors published, instead of ids: its reader knows
        them (`Reader.split`).
    partial
        Whether ids may be absent from the recordings, as those of a published split are from a part
        of its data set; samples of one group may be on both sides then, as its authors had them.
    val_share, test_share
        Share of the groups to draw for validation and for testing: whole groups, every class in
        proportion. Of a regression, groups of all sizes of the first outcome; of several labels,
        with few and with many of them. Validation is drawn from what would train.
    seed
        Seed of the draw.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Literal["group", "camera", "setup", "sample"] = "group"
    train: Ids | None = None
    val: Ids = ()
    test: Ids | None = None
    published: str | None = None
    partial: bool = False
    val_share: float = Field(default=0, ge=0, lt=1)
    test_share: float = Field(default=0, ge=0, lt=1)
    seed: int = 1234

    @model_validator(mode="after")
    def _one_rule(self) -> SplitConfig:
        listed = self.train is not None or self.test is not None
        rules = [self.published is not None, listed, self.test_share > 0]
        if sum(rules) > 1:
            raise ValueError(
                "Expected one of a published split, ids for train or test, and a test_share"
            )
        if not (any(rules) or self.val or self.val_share):
            raise ValueError("Expected a published split, ids, or a share to draw (got none)")
        if self.val and (self.val_share or self.published):
            raise ValueError(
                "Expected ids for val, or a val_share to draw or a published split, not both"
            )
        return self


def assign(columns: Mapping[str, Sequence[Any]], config: SplitConfig) -> np.ndarray:
    """Return the set of each recording (or window).

    Parameters
    ----------
    columns
        `sample`, `group`, `label`, or instead of it a number `stratum` (NaN where not known), and
        `camera` or `setup` where the split is by these; a value per recording.
    config
        The settings.

    Returns
    -------
    numpy.ndarray
        (N,) str: "train", "val", "test", or "" for what no list names.

    Raises
    ------
    ValueError
        For ids that do not occur, ids in two lists, a group on both sides of a split by group or
        sample, a view the recordings do not state, or a published split without its ids.
    """
    if config.published is not None:
        raise ValueError(
            f"Expected the ids of the published split {config.published!r}, which a reader knows "
            "(got none)"
        )
    group = np.array(columns["group"], dtype=object)
    split = _listed(np.array(columns[config.by], dtype=object), config)
    rng = np.random.default_rng(config.seed)
    for name, share in (("test", config.test_share), ("val", config.val_share)):
        if share:
            train = split == "train"
            drawn = _draw(_strata(columns, group, train), share, rng)
            split[train & np.isin(group, drawn)] = name
    if config.by in ("group", "sample") and not config.partial:
        _check_apart(group, split)
    return split


def strata_of(outputs: Outputs, outcomes: np.ndarray) -> dict[str, Any]:
    """Return the column `stratum` by which subjects are mixed where there are no labels.

    Parameters
    ----------
    outputs
        What the outcomes are; of classes and levels nothing comes back, for they have labels.
    outcomes
        (N, output) their values, NaN where not known.
    """
    if outputs.listed:
        return {}
    if outputs.kind == "regression":
        return {"stratum": outcomes[:, 0]}
    known = ~np.isnan(outcomes).all(axis=1)
    return {"stratum": np.where(known, np.nansum(outcomes, axis=1), np.nan)}


def _listed(ids: np.ndarray, config: SplitConfig) -> np.ndarray:
    if any(i is None for i in ids):
        raise ValueError(f"Expected recordings that state their {config.by} (got some without)")
    ids = np.array([str(i) for i in ids], dtype=object)
    lists = {"train": config.train, "val": config.val, "test": config.test}
    split = np.full(len(ids), "", dtype=object)
    named: dict[str, str] = {}
    for name, listed in lists.items():
        if not config.partial:
            _check_known(listed or (), sorted(set(ids)), config.by, name)
        for i in listed or ():
            if named.setdefault(i, name) != name:
                raise ValueError(f"Expected {config.by} {i} in one set (got {named[i]} and {name})")
        chosen = set(listed or ())
        split[np.array([i in chosen for i in ids], dtype=bool)] = name
    rest = "test" if config.train is not None and config.test is None else "train"
    if config.train is None or config.test is None:
        split[split == ""] = rest
    return split


def _check_known(listed: Iterable[str], known: list[str], by: str, name: str) -> None:
    unknown = [i for i in listed if i not in known]
    if unknown:
        hint = nearest(unknown[0], known)
        some = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        raise ValueError(
            f"split: expected ids of {by} for {name} among {some} (got {', '.join(unknown)}{hint})"
        )


def _strata(
    columns: Mapping[str, Sequence[Any]], group: np.ndarray, chosen: np.ndarray
) -> dict[str, str | float]:
    """Return what groups are sorted by: their label, or the mean of a number (unknown first)."""
    if "stratum" not in columns:
        label = np.array(columns.get("label", [None] * len(group)), dtype=object)
        return {name: str(own) for name, own in zip(group[chosen], label[chosen], strict=True)}
    stratum = np.asarray(columns["stratum"], dtype=float)
    known = chosen & ~np.isnan(stratum)
    means: dict[str, str | float] = dict.fromkeys(group[chosen], -np.inf)
    return means | {name: float(stratum[known & (group == name)].mean()) for name in group[known]}


def _draw(groups: Mapping[str, Any], share: float, rng: np.random.Generator) -> list[str]:
    """Draw a share of groups (with a stratum each): every so many of them, sorted by it."""
    count = max(1, round(share * len(groups)))
    if count >= len(groups):
        raise ValueError(f"Expected more training groups than {count} to draw (got {len(groups)})")
    shuffled = [sorted(groups)[i] for i in rng.permutation(len(groups))]
    by_stratum = sorted(shuffled, key=lambda group: groups[group])
    return [by_stratum[int((i + 0.5) * len(groups) / count)] for i in range(count)]


def _check_apart(group: np.ndarray, split: np.ndarray) -> None:
    sets = {name: set(group[split == name]) for name in SETS}
    for one, other in (("train", "test"), ("train", "val"), ("val", "test")):
        shared = sorted(sets[one] & sets[other])
        if shared:
            raise ValueError(f"split: {one} and {other} share the groups {', '.join(shared[:8])}")
