"""Features that attribution adds up to: joints, body parts, branches, channels, frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from hargcn.analysis.observed import Cells, joint_shares, seen
from hargcn.checks import one_of
from hargcn.explanation import DIMS, Explanation
from hargcn.skeleton import Skeleton

FEATURES = {
    "joint": "joints",
    "part": "body parts",
    "branch": "branches",
    "channel": "channels",
    "branch,channel": "channels of branches",
    "frequency": "frequencies",
    "branch,frequency": "frequencies of branches",
    "joint,frequency": "frequencies of joints",
}
"""What a ranking may be of, and what several of it are called."""

_WHY = {
    "joint": "",
    "branch": "; class activation maps and files of --keep joint-time tell no branches apart",
    "channel": "; class activation maps and files of --keep joint-time tell no channels apart",
    "frequency": "; a finished map has none, and class activation maps nothing to form them from: "
    "explain --method shap-rhythm forms them for every background row",
}


def feature_scores(
    explanation: Explanation, feature: str = "joint", cells: Cells = "all"
) -> xr.DataArray:
    """Add a window's attributions up by joint, body part, branch, channel or frequency.

    Parameters
    ----------
    explanation
        With the feature's axes.
    feature
        One of `FEATURES`.
    cells
        "all": signed sums, which over the features add up to the sum of all attributions.
        "observed": means over the cells (time, joint, person) that somebody saw, each weighed by
        the share of it that was observed; NaN for what was never seen in a window.

    Returns
    -------
    xarray.DataArray
        (sample, feature), whose second axis is called like the feature and has its names.

    Raises
    ------
    ValueError
        For an unknown feature, an explanation without its axes (says which it has) or, for parts,
        without a skeleton, and for observed cells without joints, what was seen of them, or any.
    """
    _expect(explanation, one_of("feature", feature, FEATURES))
    if cells == "all":
        return by_feature(explanation.values, explanation, feature)
    shares = seen(explanation)
    known = {*_axes(feature), *shares.dims}
    values = explanation.values.sum([dim for dim in explanation.dims if dim not in known])
    counted = _added(shares, explanation, feature)
    if not (counted > 0).any():
        raise ValueError(
            f"explanation {explanation.name!r}: expected cells that somebody saw (got none in its "
            f"{len(explanation)} windows)"
        )
    means = _added(values * shares, explanation, feature) / counted.where(counted > 0)
    return _named(means, explanation, feature)


def by_feature(
    values: xr.DataArray, explanation: Explanation, feature: str, *, mean: bool = False
) -> xr.DataArray:
    """Return (sample, feature) sums of values of an explanation, or means of what is known.

    Parameters
    ----------
    values
        With "sample" and the feature's axes.
    explanation
        Whose features they are of.
    feature
        One of `FEATURES`.
    mean
        Average what is not NaN; NaN where nothing is known.
    """
    added = _added(values.fillna(0) if mean else values, explanation, feature)
    if mean:
        counts = _added(values.notnull(), explanation, feature)
        added = added / counts.where(counts > 0)
    return _named(added, explanation, feature)


def feature_shares(explanation: Explanation, feature: str = "joint") -> xr.DataArray:
    """Return (feature,): the share of its cells, of those who are there at all, that was seen."""
    joints = joint_shares(explanation)
    if feature == "joint":
        return joints
    if feature == "part":
        members = _members(explanation)
        return xr.dot(joints, members, dim="joint") / members.sum("joint")
    return joints.mean("joint").expand_dims({feature: feature_names(explanation, feature)})


def feature_names(explanation: Explanation, feature: str = "joint") -> list[str]:
    """Return what the features of an explanation are called, in its own order."""
    if feature == "joint":
        return joint_names(explanation)
    if feature == "part":
        return list(_skeleton(explanation).parts)
    if "," not in feature:
        return _along(explanation, feature)
    outer, inner = (_along(explanation, axis) for axis in feature.split(","))
    what = explanation.dataset.coords.get("channel_name") if "channel" in feature else None
    own = [inner] * len(outer) if what is None else what.to_numpy().tolist()
    return [f"{a}: {each}" for a, row in zip(outer, own, strict=True) for each in row]


def joint_names(explanation: Explanation) -> list[str]:
    """Return the names along the joint axis: its own, the skeleton's, or numbers."""
    skeleton = None if "joint" in explanation.values.coords else explanation.skeleton
    return list(skeleton.joints) if skeleton else _along(explanation, "joint")


def _expect(explanation: Explanation, feature: str) -> None:
    explanation.expect_axes("rank", (*DIMS, "frequency"))
    for axis in _axes(feature):
        if axis not in explanation.dims:
            raise ValueError(
                f"explanation {explanation.name!r}: expected an axis {axis!r} to rank by {feature} "
                f"(got {', '.join(explanation.dims)}{_WHY[axis]})"
            )
    if feature == "part":
        _skeleton(explanation)


def _skeleton(explanation: Explanation) -> Skeleton:
    skeleton = explanation.skeleton
    if skeleton is None:
        raise ValueError(
            f"explanation {explanation.name!r}: expected a skeleton to rank by part (got none)"
        )
    return skeleton


def _axes(feature: str) -> list[str]:
    return ["joint"] if feature == "part" else feature.split(",")


def _along(explanation: Explanation, axis: str) -> list[str]:
    values = explanation.values
    named = axis in values.coords
    found = values[axis].to_numpy() if named else np.arange(values.sizes[axis])
    hertz = axis == "frequency" and found.dtype.kind == "f"
    return [f"{x:.4g} Hz" if hertz else str(x) for x in found]


def _members(explanation: Explanation) -> xr.DataArray:
    """Return (part, joint) 1 where a joint belongs to a part."""
    skeleton = _skeleton(explanation)
    parts = skeleton.parts.values()
    table = np.array([[float(j in part) for j in range(skeleton.n_joints)] for part in parts])
    return xr.DataArray(table, {"part": list(skeleton.parts)}, ("part", "joint"))


def _added(values: xr.DataArray, explanation: Explanation, feature: str) -> xr.DataArray:
    """Add up over all axes but those of the samples and, as far as they are there, the feature."""
    kept = ["sample", *_axes(feature)]
    summed = values.astype(float).sum([dim for dim in values.dims if dim not in kept])
    if feature == "part":
        summed = summed.drop_vars("joint", errors="ignore")
        return xr.dot(summed, _members(explanation), dim="joint")
    return summed


def _named(scores: xr.DataArray, explanation: Explanation, feature: str) -> xr.DataArray:
    """Return (sample, feature) with the features' names."""
    axes = ["part"] if feature == "part" else _axes(feature)
    table = scores.transpose("sample", *axes).to_numpy().reshape(scores.sizes["sample"], -1)
    coords: dict[str, Any] = {feature: feature_names(explanation, feature)}
    if "sample" in scores.coords:
        coords["sample"] = scores["sample"].to_numpy()
    return xr.DataArray(table, coords, ("sample", feature))
