"""Groups of an input's cells that are hidden together, and how a network scores what is left.

Whatever stands for a hidden cell, a frame in which a person is absent (every number is 0) stays as
it is, and a person who is absent all the time is no player.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.adapter import axis_labels, input_axes
from hargcn.explainers.attribution.absent import Carry, moved
from hargcn.explainers.base import Explainer, Need
from hargcn.explainers.finite import finite_input, finite_values
from hargcn.explainers.hooks import plain
from hargcn.explainers.scores import Score, Utility, class_scores, frozen
from hargcn.explainers.targets import class_numbers
from hargcn.explanation import Explanation
from hargcn.outputs import Outputs, outputs_of
from hargcn.registry import settings
from hargcn.skeleton import Skeleton

By = Literal["joint", "part", "side", "joint-time", "part-time", "branch", "branch-joint", "person"]
Replace = Literal["mean", "zero", "background", "freeze", "interpolate", "chain"]

_FOLLOWS: dict[str, tuple[str, ...]] = {
    "joint": ("person", "joint"),
    "part": ("person", "joint"),
    "side": ("person", "joint"),
    "joint-time": ("person", "time", "joint"),
    "part-time": ("person", "time", "joint"),
    "branch": ("branch",),
    "branch-joint": ("person", "branch", "joint"),
    "person": ("person",),
}


@dataclass(frozen=True)
class Players:
    """Which player each cell of an input belongs to.

    Attributes
    ----------
    names
        Of the players.
    labels
        Number of each cell's player; the input's axes without the samples, 1 where all are alike.
    sizes
        How many there are along each axis that tells players apart, the last counted fastest.
    skeleton
        The network's, where it has one.
    dims
        Names of the input's axes, "sample" first.
    """

    names: tuple[str, ...]
    labels: Tensor
    sizes: Mapping[str, int]
    skeleton: Skeleton | None
    dims: tuple[str, ...]

    def over(self, values: Tensor) -> Tensor:
        """Lay values (B, player) over the cells, (B, ...) that broadcast against inputs."""
        return values[:, self.labels]

    def along(self, dim: str, dims: Sequence[str], x: Tensor) -> Tensor:
        """Return (player, place) bool: who has cells where along an axis of x (N, ...)."""
        at = list(dims).index(dim)
        own = self.labels.movedim(at - 1, 0).flatten(1)
        found = torch.zeros(len(self.names), len(own), dtype=torch.bool)
        for place, numbers in enumerate(own.cpu()):
            found[numbers, place] = True
        return found.expand(-1, x.shape[at]) if len(own) == 1 else found

    def shares(self, values: Tensor, x: Tensor) -> Tensor:
        """Share each player's value (N, player) equally among its numbers in x (N, ...)."""
        each = x[0].numel() // self.labels.numel()
        sizes = torch.bincount(self.labels.flatten(), minlength=len(self.names)) * each
        return self.over(values / sizes.to(values)).expand(x.shape)

    def map(self, values: Tensor) -> tuple[Tensor, tuple[str, ...]]:
        """Lay values (N, player) over (sample, time, joint[, person]); return them and the axes.

        Each cell has its player's whole value; players are told apart by these axes only.
        """
        names = tuple(d for d in ("sample", "time", "joint", "person") if d in self.dims)
        order = [self.dims.index(d) for d in names]
        others = [axis for axis in range(len(self.dims)) if axis not in order]
        moved = self.over(values).permute(*order, *others)
        return moved.reshape(moved.shape[: len(order)]), names


def players_of(model: nn.Module, x: Tensor, by: str, bins: int) -> Players:
    """Divide an input among players.

    Parameters
    ----------
    model, x
        The network, and its input (N, ...) with named axes.
    by
        "joint", "part" and "side" of each person, "joint-time" and "part-time" (these in `bins`
        stretches of time), "branch", "branch-joint" or "person".
    bins
        Stretches of time, at most one per frame.

    Raises
    ------
    ValueError
        For an input without such axes, and parts or sides of a network without a skeleton.
    """
    dims = input_axes(model, x)
    sizes = dict(zip(dims, x.shape, strict=True))
    wanted = _FOLLOWS[by]
    needed = [d for d in wanted if d != "person" or by == "person"]
    if not {*needed} <= {*dims}:
        raise ValueError(
            f"expected an input with axes {' and '.join(map(repr, needed))} for the players "
            f"{by!r} (got {', '.join(dims)}); an Adapter's input_dims name them"
        )
    known = axis_labels(model, sizes)["coords"]
    labels, names, counts = torch.zeros([1] * (x.ndim - 1), dtype=torch.long), [""], {}
    for dim in (d for d in wanted if d in dims):
        own, called = _along(model, dim, sizes[dim], by, bins, known.get(dim))
        shape = [1] * (x.ndim - 1)
        shape[dims.index(dim) - 1] = sizes[dim]
        labels, counts[dim] = labels * len(called) + own.view(shape), len(called)
        names = [f"{name} {more}".strip() for name in names for more in called]
    skeleton = getattr(model, "skeleton", None)
    return Players(tuple(names), labels.to(x.device), counts, skeleton, dims)


def _along(
    model: nn.Module, dim: str, size: int, by: str, bins: int, known: Sequence[str] | None
) -> tuple[Tensor, list[str]]:
    """Return each position's number along an axis, and the numbers' names."""
    places = torch.arange(size)
    if dim == "time":
        numbers = places * min(bins, size) // size
        ends = [places[numbers == n] for n in range(min(bins, size))]
        return numbers, [f"frames {int(e[0])}-{int(e[-1])}" for e in ends]
    if by in ("part", "part-time", "side") and dim == "joint":
        skeleton = getattr(model, "skeleton", None)
        if skeleton is None or skeleton.n_joints != size:
            raise ValueError(
                f"expected a model with a skeleton of {size} joints for the players {by!r} (got "
                f"{None if skeleton is None else skeleton.name})"
            )
        groups = sides(skeleton) if by == "side" else skeleton.parts
        for number, joints in enumerate(groups.values()):
            places[list(joints)] = number
        return places, list(groups)
    if dim == "person" and size == 1 and by != "person":
        return places, [""]
    return places, list(known) if known is not None else [f"{dim} {i}" for i in range(size)]


def sides(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Return the joints on the left, on the right and, where there are any, in the middle.

    Raises
    ------
    ValueError
        For a layout without mirror pairs.
    """
    if not skeleton.mirror:
        raise ValueError(
            "expected a skeleton with mirror pairs for the players 'side' (got "
            f"{skeleton.name} without)"
        )
    left, right = zip(*skeleton.mirror, strict=True)
    middle = tuple(j for j in range(skeleton.n_joints) if j not in (*left, *right))
    return {"left": left, "right": right} | ({"middle": middle} if middle else {})


def in_sight(x: Tensor, dims: Sequence[str]) -> Tensor:
    """Return where somebody is: x (N, ...) is not 0 throughout a frame of a person.

    A person is absent from a frame where all numbers are exactly 0, as `hargcn` writes it.

    Returns
    -------
    Tensor of bool
        The axes of x, 1 where they are neither sample, time nor person.
    """
    rest = [i for i, dim in enumerate(dims) if dim not in ("sample", "time", "person")]
    return (x != 0).any(dim=rest, keepdim=True) if rest else x != 0


def mean_over_time(x: Tensor, dims: Sequence[str]) -> Tensor:
    """Return x with every number replaced by its mean over the frames of the person's presence."""
    if "time" not in dims:
        raise ValueError(f"expected an input with an axis 'time' for its mean (got {dims})")
    here, axis = in_sight(x, dims).to(x), list(dims).index("time")
    total = (x * here).sum(dim=axis, keepdim=True)
    return (total / here.sum(dim=axis, keepdim=True).clamp(min=1)).expand_as(x)


@dataclass(frozen=True)
class Game:
    """One sample, parts of which are hidden.

    Attributes
    ----------
    score
        From inputs to logits (n, output).
    x
        (1, ...) the sample.
    fill
        (rows, ...) what stands for hidden cells.
    weights
        (rows,) of the rows, summing to 1.
    here
        (1, ...) where somebody is, broadcasting against x.
    batch
        Inputs per forward pass.
    whole
        (1, output) logits of the sample.
    carry
        What a change of cells (B, ...) does to all of them; by default nothing to others.
    """

    score: Score
    x: Tensor
    fill: Tensor
    weights: Tensor
    here: Tensor
    batch: int
    whole: Tensor
    carry: Carry | None = None

    def shown(self, keep: Tensor, fill: Tensor | None = None) -> Tensor:
        """Blend: keep a share (B, ...) of the sample, the rest is `fill`; absent frames stay."""
        rest = self.fill[:1] if fill is None else fill
        if self.carry is not None:
            return torch.where(self.here, self.x + self.carry((1 - keep) * (rest - self.x)), self.x)
        return torch.where(self.here, torch.lerp(rest, self.x, keep), self.x)

    def logits(self, players: Players, coalitions: Tensor) -> Tensor:
        """Return logits (B, rows, output) in double precision of coalitions (B, player)."""
        rows, found = len(self.fill), []
        numbers = torch.arange(len(coalitions) * rows, device=self.x.device)
        coalitions = coalitions.to(self.x)
        with torch.no_grad():
            for part in numbers.split(self.batch):
                keep = players.over(coalitions[part // rows])
                found.append(self.score(self.shown(keep, self.fill[part % rows])).double())
        return torch.cat(found).unflatten(0, (len(coalitions), rows))

    def worths(
        self, players: Players, coalitions: Tensor, target: int, utility: str, outputs: Outputs
    ) -> Tensor:
        """Return the mean scores (B,) over the rows that stand for hidden cells."""
        logits = self.logits(players, coalitions)
        scores = class_scores(logits.flatten(0, 1), utility, outputs)[:, target]
        return scores.view(logits.shape[:2]) @ self.weights

    def playing(self, players: Players) -> Tensor:
        """Return (player,) bool: who has a cell where somebody is."""
        cells, labels = torch.broadcast_tensors(self.here[0], players.labels)
        found = torch.zeros(len(players.names), dtype=torch.bool, device=self.x.device)
        found[labels[cells].unique()] = True
        return found


@settings
class Hiding(Explainer):
    """What methods share that hide cells of the input and look at the score.

    Samples are played one by one, so that neither the others beside them nor the size of a shard
    change a value.

    Parameters
    ----------
    replace
        What stands for hidden cells: "mean", the sample's own over time; "zero"; "background", the
        rows of a background, over which scores are averaged; and of positions, "freeze" (a joint
        stays where it was first), "interpolate" (it goes straight from its first to its last
        place) or "chain" (it moves rigidly with its parent, bones as long as before).
    batch
        Inputs per forward pass; bounds the memory, and changes values by rounding only.
    background
        Rows (n, ...) of "background".
    weights
        (n,) of the background's rows; equal by default.
    """

    replace: Replace = "mean"
    batch: Annotated[int, Field(ge=1, exclude=True)] = 64
    background: Any = None
    weights: Any = None

    def __post_init__(self) -> None:
        if self.background is None:
            if self.replace == "background":
                raise ValueError(f"{self.name}: expected a background to replace by (got none)")
            return
        rows = torch.as_tensor(self.background).detach()
        given = np.ones(len(rows)) if self.weights is None else np.asarray(self.weights, float)
        if not len(rows) or given.shape != (len(rows),) or not given.sum() > 0:
            raise ValueError("Expected a background and a weight for each of its samples")
        finite_input(rows, "background sample")
        object.__setattr__(self, "background", rows)
        object.__setattr__(self, "weights", given / given.sum())

    @classmethod
    def needed(cls, given: Mapping[str, Any]) -> tuple[Need, ...]:
        """Return what is needed: the background, where it replaces."""
        if given.get("replace") == "background" and "background" not in cls.needs:
            return (*cls.needs, "background")
        return cls.needs

    @property
    def explained(self) -> Utility:
        """The score that the explanation is of."""
        own: Utility = getattr(self, "utility", "prob")
        return own

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why not: axes without names, or a background of another shape."""
        if x.ndim < 2 or not len(x):
            return f"expected samples (got {tuple(x.shape)})"
        try:
            dims = input_axes(model, x)
            self._replacement(model, x[:1], dims)
            self.divided(model, x)
        except ValueError as error:
            return str(error)
        if self.replace == "background" and self.background.shape[1:] != x.shape[1:]:
            return (
                f"expected samples shaped like the background {tuple(self.background.shape[1:])} "
                f"(got {tuple(x.shape)})"
            )
        return ""

    @property
    def rows(self) -> int:
        """How many rows stand for hidden cells, each of them a pass."""
        return len(self.background) if self.replace == "background" else 1

    @abstractmethod
    def divided(self, model: nn.Module, x: Tensor) -> Players:
        """Return the players of an input, or raise ValueError."""

    @abstractmethod
    def played(
        self, game: Game, players: Players, target: int, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Return what is found of one sample, on any device; "values" (player,) first."""

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Explain one class per sample."""
        outputs, dims = outputs_of(model), input_axes(model, x)
        with frozen(model, "logit", x, x) as (network, samples, _):
            players = self.divided(model, samples)
            with torch.no_grad():
                logits = torch.cat([network(one) for one in samples.split(1)])
            wanted = class_numbers(target, logits)
            score = class_scores(logits.double(), self.explained, outputs)
            score = score.gather(1, wanted[:, None])[:, 0]
            finite_values(self.name, "score", score.cpu().numpy())
            found = []
            ones = zip(samples.split(1), logits.split(1), wanted.tolist(), strict=True)
            for one, whole, column in ones:
                game = self._game(model, network, one, whole, dims)
                found.append(self.played(game, players, column, outputs))
        # Players' cells are where the network is; not all that was found of them is.
        joined = {
            name: torch.stack([each[name] for each in found]).to(samples.device)
            for name in found[0]
        }
        return self._built(model, samples, players, joined, wanted, score, logits)

    def _game(
        self, model: nn.Module, score: Score, one: Tensor, whole: Tensor, dims: Sequence[str]
    ) -> Game:
        fill, weights, carry = self._replacement(model, one, dims)
        here, weights = in_sight(one, dims), weights.double().to(one.device)
        return Game(score, one, fill, weights, here, self.batch, whole.double(), carry)

    def _replacement(
        self, model: nn.Module, one: Tensor, dims: Sequence[str]
    ) -> tuple[Tensor, Tensor, Carry | None]:
        """Return what stands for hidden cells, the rows' weights, and what changes carry along."""
        if self.replace == "background":
            return plain(self.background).to(one), torch.as_tensor(self.weights), None
        if self.replace == "zero":
            return torch.zeros_like(one), torch.ones(1), None
        if self.replace == "mean":
            return mean_over_time(one, dims), torch.ones(1), None
        fill, carry = moved(model, one, dims, self.replace)
        return fill, torch.ones(1), carry

    def spread(self, players: Players, values: Tensor, x: Tensor) -> tuple[Tensor, tuple[str, ...]]:
        """Return values (N, player) on the cells of the input, and "" for all of its axes."""
        return players.shares(values, x), ()

    def _built(
        self,
        model: nn.Module,
        x: Tensor,
        players: Players,
        found: dict[str, Tensor],
        target: Tensor,
        score: Tensor,
        logits: Tensor,
    ) -> Explanation:
        values = found.pop("values")
        cells, axes = self.spread(players, values, x)
        dims = axes or input_axes(model, x)
        sizes = dict(zip(dims, cells.shape, strict=True))
        kept: dict[str, Any] = {k: v if v.ndim == 1 else _with_axes(k, v) for k, v in found.items()}
        named = {} if axes else {"player": list(players.names)}
        if not axes:
            kept["player_value"] = (("sample", "player"), values)
        if "player_error" in found:
            kept["standard_error"] = (dims, players.shares(found["player_error"], x).to(x))
        if "interaction" in found:
            named["player_b"] = list(players.names)
            for dim in (each for each in ("joint", "person") if each in dims):
                kept[f"player_{dim}"] = (("player", dim), players.along(dim, dims, x))
        coords = axis_labels(model, sizes)
        coords["coords"] = {"time": np.arange(sizes.get("time", 0)), **coords["coords"]}
        made = Explanation.build(
            cells.to(x),
            dims,
            method=self.name,
            label=self.label,
            target=target,
            score=score,
            predicted=logits.argmax(dim=1),
            utility=self.explained,
            settings=self.settings,
            variables=kept,
            frames=sizes.get("time"),
            **coords,
        )
        return made.assign(coords=named)


@settings
class HidingGroups(Hiding):
    """Methods that hide cells, and let the user choose which belong together.

    Parameters
    ----------
    by
        The players: "joint", "part" or "side" of each person, "joint-time" and "part-time" (these
        in `bins` stretches of time), "branch", "branch-joint" or "person".
    bins
        Stretches of time.
    """

    by: By = "joint"
    bins: Annotated[int, Field(ge=1)] = 4

    def divided(self, model: nn.Module, x: Tensor) -> Players:
        """Return the players of an input."""
        return players_of(model, x, self.by, self.bins)


def _with_axes(name: str, values: Tensor) -> tuple[tuple[str, ...], Tensor]:
    """Name the axes of what a method keeps beside its values."""
    if name.startswith("interaction"):
        return ("sample", "player", "player_b"), values
    return ("sample", "step" if name in ("objective", "step_score") else "player"), values
