"""Meeting a network: the names of its axes and of its layers' activations.

Explainers know no architecture. What they need is asked through `ExplainableModel`, which our
networks implement; `Adapter` gives any other module these answers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np
from torch import Tensor, nn

from hargcn.checks import nearest
from hargcn.explainers.axes import Axes, default_axes, for_layer, named_axes
from hargcn.explainers.outputs import Output, for_batch, logits_of, module_of
from hargcn.explanation import DIMS
from hargcn.outputs import Outputs, outputs_of
from hargcn.skeleton import Skeleton

if TYPE_CHECKING:
    from hargcn.explainers.check import NetworkCheck

Unfold = Callable[[Tensor, int], Tensor]
Fold = Callable[[Tensor], Tensor]
Head = tuple[Tensor, Tensor]


@runtime_checkable
class ExplainableModel(Protocol):
    """What explainers ask of a network.

    Attributes
    ----------
    input_dims
        Names of the input's axes, "sample" first.
    axis_names
        Names along axes ("joint", "branch", "channel") and of the classes ("class").
    """

    input_dims: tuple[str, ...]

    @property
    def axis_names(self) -> Mapping[str, Sequence[str]]:
        """Names along axes and of the classes."""

    def get_layer(self, layer: str) -> nn.Module:
        """Return the module whose output is the named layer's activation."""

    def unfold(self, layer: str, activation: Tensor, samples: int) -> Tensor:
        """View an activation as (sample, person, feature, time, joint)."""

    def fold(self, layer: str, maps: Tensor) -> Tensor:
        """Undo `unfold`, up to a last axis of one joint."""

    def cell_frames(self, layer: str, cells: int, frames: int) -> np.ndarray:
        """Return the centre input frame of each of a layer's time cells."""

    def linear_head(self, layer: str) -> tuple[Tensor, Tensor] | None:
        """Return (weight, bias) where logits = weight @ mean(activation) + bias, else None."""


class Adapter(nn.Module):
    """Any network with the answers of `ExplainableModel`.

    What is given per layer is a mapping from layer names, or patterns such as "blocks.*"; layers it
    does not name are understood as if nothing had been given. Of a layer that returns several
    tensors one is named by its place: "block[0]", "block[features]".

    Parameters
    ----------
    model
        The network; called with the input, it returns logits (sample, classes).
    input_dims
        Names of the input's axes in its own order; by default "sample", "axis1", ...
    unfold, fold
        What a layer's activation is: names of its axes, such as ("sample", "time", "joint",
        "feature") (see `hargcn.explainers.axes.Axes`), or two functions, from an activation and the
        number of samples to (sample, person, feature, time, joint) and back; for all layers or per
        layer. By default activations (row, feature, time, joint) and (row, feature, time) are
        understood, whose rows are samples or persons folded into them (row = sample * M + person),
        and (sample, person, feature, time, joint); an image's rows take the place of time.
    axis_names
        Names along axes and of classes.
    linear_head
        The linear head behind a layer's global average: a mapping from the layer's name to the
        module, or a function from it to (weight, bias) or None.
    skeleton
        The key-point layout, where there is one; pictures need it.
    cell_frames
        From a layer's name, its number of time cells and that of the window's frames to the centre
        frame of each cell. By default measured (see `hargcn.explainers.cells`).
    output
        Where the logits are in what the network returns: a number, a key, or a function of it.
    args, kwargs
        Further arguments of the network, the same for every batch of any size; where one needs a
        row per sample, a function of the batch that makes it.
    strides
        Frames from one time cell to the next, the first at frame 0, for all layers or per layer:
        in the place of `cell_frames`.

    Raises
    ------
    ValueError
        For names of axes or layers that make no sense.
    """

    def __init__(
        self,
        model: nn.Module,
        input_dims: Sequence[str] = (),
        unfold: Unfold | Sequence[str] | Mapping[str, Unfold | Sequence[str]] | None = None,
        fold: Fold | Mapping[str, Fold] | None = None,
        axis_names: Mapping[str, Sequence[str]] | None = None,
        linear_head: Mapping[str, nn.Module] | Callable[[str], Head | None] | None = None,
        skeleton: Skeleton | None = None,
        cell_frames: Callable[[str, int, int], np.ndarray] | None = None,
        *,
        output: Output | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        strides: float | Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.skeleton = skeleton
        self.input_dims = tuple("channel" if d == "feature" else d for d in input_dims)
        if self.input_dims and self.input_dims[0] != "sample":
            raise ValueError(f"Expected input_dims, the first 'sample' (got {tuple(input_dims)})")
        self.axis_names: dict[str, Sequence[str]] = dict(axis_names or {})
        if skeleton is not None:
            self.axis_names.setdefault("joint", skeleton.joints)
        self.arguments: dict[Any, Any] = dict(enumerate(args))
        self.arguments.update(kwargs or {})
        self._positional = len(args)
        self._output, self._head = output, linear_head
        self._unfold, self._fold = named_axes(unfold), fold
        self._frames, self._strides = cell_frames, strides
        for given in (self._unfold, fold, linear_head, strides):
            self._expect_layers(given)

    def _expect_layers(self, given: Any) -> None:
        for layer in given if isinstance(given, Mapping) else ():
            if not {"*", "?"} & {*layer}:
                self.get_layer(layer)

    @property
    def outputs(self) -> Outputs:
        """What the network's outputs are, as it says."""
        return outputs_of(self.model)

    def told_axes(self, layer: str) -> Any:
        """Return what somebody said a layer's activation is: `Axes`, a function, or None."""
        return for_layer(self._unfold, layer)

    def tells_frames(self, layer: str) -> bool:
        """Whether somebody said where a layer's time cells lie."""
        return self._frames is not None or for_layer(self._strides, layer) is not None

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's logits."""
        given = for_batch(self.arguments, x)
        args = [given.pop(number) for number in range(self._positional)]
        logits = logits_of(self.model(x, *args, **given), self._output)
        if logits.shape[:1] != x.shape[:1]:
            raise ValueError(
                f"Expected logits of {len(x)} samples (got {tuple(logits.shape)}); an argument "
                "with a row per sample is given as a function of the batch"
            )
        return logits

    def get_layer(self, layer: str) -> nn.Module:
        """Return a submodule by its path, of "block[0]" that of "block"."""
        try:
            return self.model.get_submodule(module_of(layer))
        except AttributeError as error:
            known = [name for name, _ in self.model.named_modules() if name]
            raise ValueError(
                f"Expected layer of {', '.join(known[:20])} (got {layer!r}{nearest(layer, known)})"
            ) from error

    def unfold(self, layer: str, activation: Tensor, samples: int) -> Tensor:
        """View an activation as (sample, person, feature, time, joint)."""
        told = self.told_axes(layer)
        axes = default_axes(activation, samples) if told is None else told
        if axes is None or (told is None and activation.ndim == 5 and not self._holds(activation)):
            raise ValueError(
                f"layer {layer!r}: expected an activation (row, feature, time[, joint]) whose rows "
                f"are {samples} samples or their persons, or (sample, person, feature, time, joint)"
                f" as the input has, or an Adapter with `unfold` (got {tuple(activation.shape)})"
            )
        if isinstance(axes, Axes):
            return axes.unfold(layer, activation, samples)
        return axes(activation, samples)

    def _holds(self, activation: Tensor) -> bool:
        """Whether five axes may be (sample, person, feature, time, joint): a video's are not."""
        persons = "person" in self.input_dims or activation.shape[1] == 1
        return "joint" in self.input_dims and persons

    def fold(self, layer: str, maps: Tensor) -> Tensor:
        """Undo `unfold`, up to a last axis of one joint and a plane's two axes, which stay one."""
        told, fold = self.told_axes(layer), for_layer(self._fold, layer)
        if fold is not None:
            return fold(maps)
        if isinstance(told, Axes):
            return told.fold(maps)
        if told is not None:
            raise ValueError(f"layer {layer!r}: expected an Adapter with `fold` beside `unfold`")
        return maps.flatten(0, 1)

    def cell_frames(self, layer: str, cells: int, frames: int) -> np.ndarray:
        """Return the centre frames as given, else those of equal stretches of the window."""
        if self._frames is not None:
            return self._frames(layer, cells, frames)
        stride = for_layer(self._strides, layer)
        if stride is not None:
            return np.arange(cells) * float(stride)
        return (np.arange(cells) + 0.5) * frames / cells - 0.5

    def linear_head(self, layer: str) -> Head | None:
        """Return (weight, bias) of the linear head behind a layer's global average, if known."""
        head = self._head(layer) if callable(self._head) else for_layer(self._head, layer)
        if not isinstance(head, nn.Module):
            return head
        weight = cast(Tensor, head.weight).detach().flatten(1)
        bias = weight.new_zeros(len(weight)) if head.bias is None else cast(Tensor, head.bias)
        return weight, bias.detach()

    def check(self, x: Tensor, layers: Sequence[str] | None = None) -> NetworkCheck:
        """Run the network and every method once; printed, the result is a table of what works.

        See `hargcn.explainers.check.check_network`.

        Parameters
        ----------
        x
            An input of the network, best of two samples or more.
        layers
            Names of layers; by default every module that runs once and returns tensors.
        """
        from hargcn.explainers.check import check_network  # which asks the methods, which ask us

        return check_network(self, x, layers)


def held(model: nn.Module) -> nn.Module:
    """Return the `ExplainableModel` that a network holds as its `adapter`, else itself."""
    own = getattr(model, "adapter", None)
    return own if isinstance(own, nn.Module) and isinstance(own, ExplainableModel) else model


def adapted(model: nn.Module, x: Tensor) -> ExplainableModel:
    """Return the network where it is an `ExplainableModel`, else one that reads its modules.

    Of a network that holds an `ExplainableModel` as its `adapter`, this one.

    Raises
    ------
    ValueError
        For an input whose axes are not those that an `Adapter` names.
    """
    model = held(model)
    if isinstance(model, Adapter) and model.input_dims:
        expect_input(model, x)
    elif isinstance(model, Adapter):
        named = copy.copy(model)
        named.input_dims = input_axes(nn.Identity(), x)
        return named
    if isinstance(model, ExplainableModel):
        return model
    return Adapter(model, input_axes(model, x))


def expect_input(at: Adapter, x: Tensor) -> None:
    """Refuse an input of other axes, or of other sizes than there are names along them.

    Raises
    ------
    ValueError
        Names the axis, its size and how many names there are.
    """
    dims = at.input_dims
    if x.ndim != len(dims):
        raise ValueError(f"Expected an input ({', '.join(dims)}) (got {tuple(x.shape)})")
    for dim, size in zip(dims, x.shape, strict=True):
        names = at.axis_names.get(dim)
        if names is not None and len(names) != size:
            found = ", ".join(f"{d} {n}" for d, n in zip(dims, x.shape, strict=True))
            raise ValueError(
                f"Expected an input of {len(names)} along {dim!r}, as the Adapter names (got "
                f"{found}); are its input_dims in the input's order?"
            )


def map_axes(at: ExplainableModel, x: Tensor) -> tuple[int, int | None, int | None]:
    """Return which of the input's axes a map's time, joint and person follow.

    By their names; an input that names no time is an image or a series, (sample, channel, rows[,
    columns]), whose last axes they are.

    Raises
    ------
    ValueError
        For an input of more axes without their names.
    """
    dims = at.input_dims
    if "time" in dims:
        joint, person = (dims.index(d) if d in dims else None for d in ("joint", "person"))
        return dims.index("time"), joint, person
    if x.ndim not in (3, 4):
        raise ValueError(f"Expected an Adapter whose input_dims name 'time' (got {dims})")
    return 2, (3 if x.ndim == 4 else None), None


def expect_axes(at: ExplainableModel, layer: str, maps: Mapping[str, int], x: Tensor) -> None:
    """Refuse maps whose joints and persons are not those of the input.

    Only whoever says by an `unfold` what an activation's axes are may have pooled an axis to one.
    Cells of a plane are no joints.

    Parameters
    ----------
    at, layer
        A network's answers, and the name of one of its layers.
    maps
        Size of the maps along "joint" and "person".
    x
        The network's input.
    """
    told = at.told_axes(layer) if isinstance(at, Adapter) else at
    apart = ("joint",) if isinstance(told, Axes) and told.plane else ()
    named = {
        d: x.shape[at.input_dims.index(d)] for d in maps if d in at.input_dims and d not in apart
    }
    said = told is not None
    if any(maps[d] != size and not (said and maps[d] == 1) for d, size in named.items()):
        wanted = " and ".join(f"{size} {d}s" for d, size in named.items())
        found = " and ".join(f"{maps[d]} {d}s" for d in named)
        raise ValueError(
            f"layer {layer!r}: expected maps of {wanted}, as the input has (got {found}); an "
            "Adapter's `unfold` says which axes of the activation they are"
        )


def input_axes(model: nn.Module, x: Tensor, dims: Sequence[str] | None = None) -> tuple[str, ...]:
    """Name the axes of ``x``: as given, as the model says, as `DIMS` for six axes, or by number."""
    if dims is not None:
        if len(dims) != x.ndim or dims[0] != "sample":
            raise ValueError(f"Expected {x.ndim} dims, the first 'sample' (got {tuple(dims)})")
        return tuple(dims)
    own = tuple(getattr(model, "input_dims", ()))
    at = held(model)
    if isinstance(at, Adapter) and at.input_dims:
        expect_input(at, x)
    if len(own) == x.ndim:
        return own
    return DIMS if x.ndim == len(DIMS) else ("sample", *(f"axis{i}" for i in range(1, x.ndim)))


def axis_labels(model: nn.Module | ExplainableModel, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return the names that a model knows along axes of these sizes and of classes, its skeleton.

    As `Explanation.build` takes them: `coords` and `skeleton`.
    """
    names: Mapping[str, Sequence[str]] = getattr(model, "axis_names", {})
    skeleton = getattr(model, "skeleton", None)
    coords: dict[str, Any] = {
        d: list(v) for d, v in names.items() if d == "class" or len(v) == sizes.get(d)
    }
    by_branch: Mapping[str, Sequence[str]] = getattr(model, "channel_names", {})
    if by_branch and {"branch", "channel"} <= coords.keys():
        rows = [list(by_branch[branch]) for branch in coords["branch"]]
        coords["channel_name"] = (("branch", "channel"), rows)
    return {
        "coords": coords,
        "skeleton": skeleton if isinstance(skeleton, Skeleton) and "joint" in sizes else None,
    }
