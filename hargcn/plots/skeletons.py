"""Bodies on paper: projecting key points, drawing a body's bones and joints, or a whole layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D, ScaledTranslation
from scipy.optimize import isotonic_regression

from hargcn.analysis.asked import asked_name, class_name
from hargcn.analysis.comb import own_step
from hargcn.analysis.observed import tells_seen
from hargcn.data.planted.synthetic import rest_pose
from hargcn.data.recording import INTERPOLATED
from hargcn.explanation import Explanation
from hargcn.plots.style import SIGNED, STYLE, canvas, looks, signed_norm
from hargcn.skeleton import Skeleton, hop_distance

View = str | tuple[float, float]
"""front, side or top, or (azimuth, elevation) in degrees."""

VIEWS = {"front": (0.0, 0.0), "side": (90.0, 0.0), "top": (0.0, 90.0)}

_WIDER = 2.0  # a layout's body is stretched sideways, so that its joints lie apart

_CLASSES = {"true": "label", "predicted": "predicted"}

_LINES = 20  # names beside a body of usual height; more of them make it higher and wider

SMALL, LARGE = 9.0, 130.0
"""Marker areas in square points, of a joint without attribution and of the largest one."""

HOLLOW = 0.35
"""Share of a marker's area that is white where nobody saw the joint."""


def facing(positions: np.ndarray, skeleton: Skeleton) -> float:
    """Return by how many degrees to turn bodies so that they are seen from their front.

    From there their left is on the right; a sensor's axes may show them from behind. The page's
    `body.mjs` does the same.

    Parameters
    ----------
    positions
        (C, T, V, M) of a window, NaN where nobody is.

    Returns
    -------
    float
        0 or 180; 0 for bodies in the plane, which are a camera's picture.
    """
    if len(positions) < 3 or not skeleton.mirror:
        return 0.0
    left, right = np.array(skeleton.mirror).T
    return 180.0 if np.nansum(positions[0][:, left] - positions[0][:, right]) < 0 else 0.0


def project(positions: np.ndarray, up: str, view: View = "front", turn: float = 0.0) -> np.ndarray:
    """Project positions onto the paper.

    Parameters
    ----------
    positions
        (C, ...) coordinates, C = 2 or 3.
    up
        The axis that points up: "y", "-y" or "z".
    view
        "front", "side", "top" or (azimuth, elevation) in degrees: the camera goes round the body by
        the first and is raised by the second; in front, x points right. 2D positions have one view.
    turn
        Degrees by which the bodies are turned first, see `facing`.

    Returns
    -------
    numpy.ndarray
        (2, ...) right and up on the paper.

    Raises
    ------
    ValueError
        For an unknown view.
    """
    if isinstance(view, str) and view not in VIEWS:
        raise ValueError(f"Expected a view of {', '.join(VIEWS)} or two angles (got {view!r})")
    right, height = positions[0], positions[2] if up == "z" else positions[1]
    height = -height if up == "-y" else height
    if len(positions) == 2:
        return np.stack([right, height])
    depth = positions[1] if up == "z" else positions[2]
    azimuth, elevation = np.deg2rad(VIEWS[view] if isinstance(view, str) else view)
    azimuth += np.deg2rad(turn)
    right, depth = (
        np.cos(azimuth) * right + np.sin(azimuth) * depth,
        np.cos(azimuth) * depth - np.sin(azimuth) * right,
    )
    return np.stack([right, np.cos(elevation) * height + np.sin(elevation) * depth])


@dataclass(frozen=True, eq=False)
class Scene:
    """One explained window, ready to draw.

    Parameters
    ----------
    points
        (2, T, V, M) on the paper; NaN where a joint or a person is absent.
    values
        (cell, V, M) attributions, added up over branches and channels.
    times
        (cell,) centre frame of each cell.
    skeleton
        For the bones.
    norm
        Scale of the whole window, so that its frames compare.
    title, unit
        What is explained, and the attributions' unit.
    seconds
        (T,) time of each frame in the recording, where known.
    guessed
        (T, V, M) bool: a joint was interpolated, nobody saw it there; all False where not known.
    """

    points: np.ndarray
    values: np.ndarray
    times: np.ndarray
    skeleton: Skeleton
    norm: TwoSlopeNorm
    title: str
    unit: str
    seconds: np.ndarray | None
    guessed: np.ndarray

    def at(self, frame: int) -> np.ndarray:
        """Return (V, M) attributions of the cell nearest to a frame."""
        return self.values[np.abs(self.times - frame).argmin()]

    @property
    def peak(self) -> int:
        """The frame at the centre of the cell that holds the largest attribution."""
        cell = np.nanargmax(np.nanmax(self.values, axis=(1, 2)))
        return int(np.clip(round(self.times[cell]), 0, self.points.shape[1] - 1))


def scene(
    explanation: Explanation,
    sample: str | int,
    positions: Any = None,
    view: View = "front",
    limit: float | None = None,
    fps: float | None = None,
    time_step: int | None = None,
) -> Scene:
    """Bring one sample's attributions and positions together.

    Parameters
    ----------
    explanation
        With an axis "joint" and a skeleton.
    sample
        Its name or its number.
    positions
        (C, T, V, M) of this sample, by default those stored with the explanation; NaN, or zero
        for a whole person and frame, is not drawn.
    view
        See `project`; bodies are turned so that their front is in front.
    limit
        Magnitude at the ends of the colour scale; default the sample's largest.
    fps
        Frames per second, instead of the time stored with the explanation.
    time_step
        Frames whose attributions are added up; default the network's own step, 1 for single frames
        (see `analysis.comb`).

    Raises
    ------
    ValueError
        For an explanation without skeleton or joints, an unknown sample, or positions of another
        shape.
    """
    explanation.expect_axes("picture of a body")
    skeleton = explanation.skeleton
    if skeleton is None or "joint" not in explanation.dims:
        raise ValueError(
            f"explanation {explanation.name!r}: expected a skeleton and an axis 'joint' "
            f"(got axes {explanation.dims})"
        )
    one = one_sample(explanation, sample)
    if positions is None:
        if "positions" not in one.dataset:
            raise ValueError(f"explanation {explanation.name!r}: expected positions (none stored)")
        positions = one.dataset["positions"].isel(sample=0)
    positions = np.asarray(positions, dtype=float)
    if positions.ndim != 4 or positions.shape[::2] != (skeleton.ndim, skeleton.n_joints):
        raise ValueError(
            f"Expected positions ({skeleton.ndim}, T, {skeleton.n_joints}, M) of "
            f"{skeleton.name} (got {positions.shape})"
        )
    one = own_step(one, time_step)
    values, times = joint_map(one)
    persons = positions.shape[-1]
    if values.shape[-1] not in (1, persons):
        raise ValueError(f"Expected positions of {values.shape[-1]} persons (got {persons})")
    positions = np.where(np.isfinite(positions), positions, np.nan)
    absent = (np.nan_to_num(positions) == 0).all(axis=(0, 2), keepdims=True)
    positions = np.where(absent, np.nan, positions)
    points = project(positions, skeleton.up, view, facing(positions, skeleton))
    values = np.broadcast_to(values, (*values.shape[:2], persons))
    return Scene(
        points,
        values,
        times,
        skeleton,
        signed_norm(values, limit),
        title(one),
        unit_of(one),
        frame_seconds(one, positions.shape[1], fps),
        _guessed(one, positions.shape[1:]),
    )


def _guessed(one: Explanation, shape: tuple[int, ...]) -> np.ndarray:
    """Return (T, V, M) bool of a single sample: which joints were interpolated."""
    if not tells_seen(one) or one.dataset["state"].shape[1:] != shape:
        return np.zeros(shape, dtype=bool)
    return one.dataset["state"].to_numpy()[0] == INTERPOLATED


def one_sample(explanation: Explanation, sample: str | int) -> Explanation:
    """Return the explanation of one sample, by name or number."""
    names = [str(name) for name in explanation.values["sample"].to_numpy()]
    if isinstance(sample, str) and sample not in names:
        raise ValueError(
            f"explanation {explanation.name!r}: expected one of its {len(names)} samples, such as "
            f"{names[0]!r} (got {sample!r})"
        )
    index = names.index(sample) if isinstance(sample, str) else sample
    if not -len(names) <= index < len(names):
        raise ValueError(f"Expected a sample from 0 to {len(names) - 1} (got {index})")
    return explanation.isel(sample=[index])


def frame_seconds(one: Explanation, frames: int, fps: float | None = None) -> np.ndarray | None:
    """Return when each frame of a single sample was taken, (T,) seconds, where known.

    As stored in `seconds` (sample, frame), or counted from the first frame at `fps`.
    """
    if fps is not None:
        return np.arange(frames) / fps
    stored = one.dataset.get("seconds")
    return None if stored is None else stored.to_numpy()[0]


def joint_map(one: Explanation) -> tuple[np.ndarray, np.ndarray]:
    """Return (cell, V, M) attributions of a single sample and the (cell,) centre frames.

    Branches, channels and other axes are added up: contributions of one joint in one frame.
    """
    kept = [dim for dim in ("time", "joint", "person") if dim in one.dims]
    values = one.values.isel(sample=0)
    values = values.sum([dim for dim in values.dims if dim not in kept]).transpose(*kept)
    times = values["time"].to_numpy() if "time" in kept else np.zeros(1)
    lengths = [values.sizes[dim] if dim in kept else 1 for dim in ("time", "joint", "person")]
    return values.to_numpy().astype(float).reshape(lengths), times.astype(float)


def title(one: Explanation) -> str:
    """Say what is explained: sample, method, class, score, outcome, and frames of a sum."""
    score = f"{one.utility} {float(one.score[0]):.2f}"
    if (count := one.dataset.attrs.get("averaged", 1)) > 1:
        score = f"mean of {count} windows, mean {score}"
    sample = one.values["sample"].to_numpy()[0]
    count = one.dataset.attrs.get("summed", 1)
    own = ", the network's time step" if count == one.dataset.attrs.get("time_step") else ""
    sums = "" if count == 1 else f"; sums over {count} frames{own}"
    return f"{sample}: {one.title} for {asked_name(one)} ({score}){_outcome(one)}{sums}"


def window_said(one: Explanation) -> str:
    """Say which window is explained for which class, whatever the method."""
    return f"{one.values['sample'].to_numpy()[0]}: for {asked_name(one)}{_outcome(one)}"


def _outcome(one: Explanation) -> str:
    """Say which class a window has and which was predicted, how probable; as far as known."""
    data = one.dataset
    if data.attrs.get("averaged", 1) > 1:  # every window of a recording has its own
        return ""
    known = {word: int(data[key][0]) for word, key in _CLASSES.items() if key in data}
    said = [f"{word} {class_name(one, number)}" for word, number in known.items() if number >= 0]
    if "probability" in data and "predicted" in known:
        share = float(data["probability"][0])
        said[-1] += " (>99%)" if share >= 0.995 else f" ({share:.0%})"
    return f"; {', '.join(said)}" if said else ""


def unit_of(one: Explanation) -> str:
    """Return the unit of the attributions, of sums over frames with their number."""
    count = one.dataset.attrs.get("summed", 1)
    return one.utility if count == 1 else f"{one.utility} per {count} frames"


def draw_body(
    ax: Axes,
    points: np.ndarray,
    values: np.ndarray,
    skeleton: Skeleton,
    norm: TwoSlopeNorm,
    scale: float = 1.0,
    guessed: np.ndarray | None = None,
) -> None:
    """Draw a body: bones grey, joints coloured by sign, sized by magnitude; left and right.

    Parameters
    ----------
    points
        (2, V) on the paper; joints at NaN and their bones are left out.
    values
        (V,) attributions.
    scale
        Factor on the markers' areas, for small pictures.
    guessed
        (V,) bool: joints that nobody saw, drawn hollow.
    """
    ends = points.T[np.array(skeleton.edges)]
    whole = np.isfinite(ends).all(axis=(1, 2))
    ax.add_collection(LineCollection(ends[whole], colors="#9a9a9a", linewidths=1.4, zorder=1))
    order = np.argsort(np.abs(values))  # the largest lie on top
    order = order[np.isfinite(points[:, order]).all(axis=0)]
    share = np.clip(np.abs(values[order]) / norm.vmax, 0, 1)
    sizes = scale * (SMALL + (LARGE - SMALL) * share)
    edge: dict[str, Any] = {"edgecolors": "#4d4d4d", "linewidths": 0.6}
    x, y = points[:, order]
    ax.scatter(x, y, sizes, mpl.colormaps[SIGNED](norm(values[order])), zorder=2, **edge)
    if guessed is not None and guessed[order].any():
        rings = guessed[order]
        ax.scatter(x[rings], y[rings], HOLLOW * sizes[rings], "white", zorder=3, **edge)
    draw_sides(ax, points, skeleton)


def draw_sides(ax: Axes, points: np.ndarray, skeleton: Skeleton) -> None:
    """Write L and R beside a body's joints, of the person's own left and right, farthest out.

    Parameters
    ----------
    points
        (2, V) on the paper; a joint at NaN is passed over. Without mirror pairs nothing is written.
    """
    depth = hop_distance(skeleton)[skeleton.root]
    tips = {}
    for letter, joints in zip("LR", zip(*skeleton.mirror, strict=True), strict=False):
        if there := [joint for joint in joints if np.isfinite(points[:, joint]).all()]:
            tips[letter] = points[:, max(there, key=lambda joint: depth[joint])]
    rightmost = max(tips, key=lambda letter: tips[letter][0], default="")
    scale: Any = ax.get_figure(root=True)
    for letter, (x, y) in tips.items():
        outward = ScaledTranslation(
            (7 if letter == rightmost else -7) / 72, 0, scale.dpi_scale_trans
        )
        ax.scatter(
            x, y, 22, "#333333", marker=_centred(letter), linewidths=0, zorder=4, label=letter,
            transform=ax.transData + outward, clip_on=False,
        )  # fmt: skip


def _centred(letter: str) -> Path:
    """Return a letter's outline around the origin."""
    outline = TextPath((0, 0), letter, size=1)
    return outline.transformed(
        Affine2D().translate(*-outline.get_extents().get_points().mean(axis=0))
    )


def said_of_sides(skeleton: Skeleton) -> list[Line2D]:
    """Return what a legend says of L and R; nothing without sides."""
    said = "L, R: the person's own left and right"
    return [Line2D([], [], linestyle="none", label=said)] if skeleton.mirror else []


def plot_layout(skeleton: Skeleton, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw a layout: its joints by name and number, its edges, its parts in colour.

    A body is seen from the front, the person's left on the right, wider than people are. A layout
    whose joints bear names of their own, or are a face's and fingers, is drawn as a tree around its
    root. The more joints, the larger the figure: every name is there, none over another.

    Parameters
    ----------
    skeleton
        The layout.
    ax
        Axes to draw on; a new figure without.
    """
    points = layout_points(skeleton)
    sides = _sides(points)
    rows = max(len(side) for side in sides)
    larger = max(1.0, (rows - 1) / _LINES)
    points *= larger
    with mpl.rc_context(STYLE):
        figure, (axes,) = canvas(ax, (1.5 + 5 * larger, max(3.5, 0.22 * rows + 1.0)))
        bones = points[np.array(skeleton.edges)]
        axes.add_collection(LineCollection(bones, colors="#9a9a9a", linewidths=2, zorder=1))
        for part, look in looks(list(skeleton.parts)).items():
            x, y = points[list(skeleton.parts[part])].T
            drawn: dict[str, Any] = {"color": look.colour, "marker": look.marker, "label": part}
            axes.scatter(x, y, 26, **drawn, ec="#333333", lw=0.6, zorder=3)
        for side, joints in zip((-1, 1), sides, strict=True):
            _name_joints(axes, points, skeleton, joints, side, larger / max(rows - 1, 1))
        axes.set(aspect="equal", title=f"{skeleton.name}: {skeleton.n_joints} joints")
        axes.set_ylim(points[:, 1].min() - 0.12, points[:, 1].max() + 0.12)
        axes.set_axis_off()
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            ncols=min(len(skeleton.parts), 6),
            handletextpad=0,
        )
    return figure, axes


def layout_points(skeleton: Skeleton) -> np.ndarray:
    """Return (V, 2) places of a layout's joints on paper, the larger side from 0 to 1.

    A body at rest, wider than people are; a tree around the root where no body is known.
    """
    try:
        points = rest_pose(skeleton)[:, :2] * (_WIDER, 1)
    except ValueError:  # names that no body's place is known for
        points = _tree(skeleton)
    return (points - points.min(axis=0)) / np.ptp(points, axis=0).max()


def _name_joints(
    axes: Axes, points: np.ndarray, skeleton: Skeleton, joints: list[int], side: int, gap: float
) -> None:
    """Write names in a column beside the body, as near to the height of their joints as fits."""
    order = gap * np.arange(len(joints))
    heights = isotonic_regression(points[joints, 1] - order).x + order
    x = points[:, 0].max() + 0.12 if side > 0 else points[:, 0].min() - 0.12
    for joint, height in zip(joints, heights, strict=True):
        axes.annotate(
            f"{joint} {skeleton.joints[joint]}",
            points[joint],
            (x, height),
            va="center",
            ha="left" if side > 0 else "right",
            fontsize=8,
            arrowprops={"arrowstyle": "-", "color": "#b5b5b5", "linewidth": 0.6},
        )


def _sides(points: np.ndarray) -> tuple[list[int], list[int]]:
    """Return the joints to name on the left and on the right, from below; the middle ones share."""
    middle = np.median(points[:, 0])
    sides: tuple[list[int], list[int]] = ([], [])
    for joint in np.lexsort((points[:, 0], points[:, 1])).tolist():
        across = points[joint, 0] - middle
        fewer = len(sides[1]) < len(sides[0])
        sides[int(fewer if abs(across) < 1e-6 else across > 0)].append(joint)
    return sides


def _tree(skeleton: Skeleton) -> np.ndarray:
    """Return (V, 2) places around the root: one ring per edge away, leaves evenly spread."""
    depth = hop_distance(skeleton)[skeleton.root]
    neighbours: list[list[int]] = [[] for _ in skeleton.joints]
    for a, b in skeleton.edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    angle = np.zeros(skeleton.n_joints)
    leaves = 0

    def place(joint: int) -> None:
        nonlocal leaves
        below = [other for other in neighbours[joint] if depth[other] > depth[joint]]
        for other in below:
            place(other)
        angle[joint] = np.mean(angle[below]) if below else leaves
        leaves += not below

    place(skeleton.root)
    angle *= 2 * np.pi / leaves
    return np.stack([depth * np.sin(angle), depth * np.cos(angle)], axis=1)
