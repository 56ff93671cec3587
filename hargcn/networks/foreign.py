"""A network that somebody else wrote, with what the commands ask of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hargcn.checks import one_of
from hargcn.explainers.adapter import Adapter, ExplainableModel, expect_axes
from hargcn.explainers.hooks import undisturbed
from hargcn.explainers.outputs import module_of, tensors_in
from hargcn.explanation import DIMS
from hargcn.networks.branches import (
    POSITION_DIMS,
    branches,
    channel_names,
    placed,
    shared_channel_names,
)
from hargcn.networks.network import SkeletonNetwork
from hargcn.outputs import Outputs, outputs_of
from hargcn.skeleton import Skeleton

if TYPE_CHECKING:
    from hargcn.data.windows import Batch

_PROBES = 2  # windows of the first pass: rows are told from samples by more than one


class ForeignNetwork(SkeletonNetwork):
    """Any network, fed with positions or our branches in the order of axes that it wants.

    One pass over random windows says whether input and output fit, and which of its layers can be
    explained: named submodules that run once, whose activation has the joints and persons of the
    input. A network with methods of its own answers for itself: `features(positions, valid)` and
    `inputs(batch)` make its input, `layer_names()` names its layers.

    Parameters
    ----------
    model
        The network; called with its input, it returns logits (sample, class).
    skeleton, classes
        The layout of its key points, and the names of its classes in the order of the logits.
    shape
        (C, T, V, M) of a window that it takes.
    input_dims
        The order in which it wants its input's axes: "sample" first, then "channel", "time",
        "joint" and "person", which may be missing where there is one person; "branch" where
        `branches` are wanted. By default as the network says, else as here.
    branches
        Give it these of our branches "J", "V", "B", "A" (see `branches.branches`) instead of
        positions.
    card
        What is known about it.
    digest
        Of its weights and its code; the entry `weights` of the card.

    Raises
    ------
    ValueError
        For axes that do not fit, an input that the network refuses, and for another output than
        logits of its classes.
    """

    def __init__(
        self,
        model: nn.Module,
        skeleton: Skeleton,
        classes: Sequence[str],
        shape: tuple[int, int, int, int],
        *,
        input_dims: Sequence[str] = (),
        branches: Sequence[str] = (),
        card: Mapping[str, Any] | None = None,
        digest: str = "",
    ) -> None:
        super().__init__()
        self.adapter: Any = model if isinstance(model, ExplainableModel) else Adapter(model)
        self.skeleton = skeleton
        said = outputs_of(model)
        self.outputs = said if said.names else Outputs.of(classes)
        self.branches = tuple(branches)
        self.card = {**(card or {}), "weights": digest}
        self.digest = digest
        self._shape = shape
        self._offered = DIMS if branches else POSITION_DIMS
        self.input_dims = self._order(input_dims)
        self._name_axes()
        self.eval()
        self._layers = self._probe()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(C, T, V, M) of a window that it takes."""
        return self._shape

    def inputs(self, batch: Batch) -> Tensor:
        """Return what the network takes for windows, on its device."""
        own = self._own("inputs")
        return self.features(*placed(batch, self)) if own is None else own(batch)

    def features(self, positions: Tensor, valid: Tensor | None = None) -> Tensor:
        """Turn positions (N, C, T, V, M) into the network's input: the only place that does."""
        weights = next((p for p in self.parameters() if p.is_floating_point()), positions)
        positions = positions.to(weights.dtype)
        own = self._own("features")
        if own is not None:
            return own(positions, valid)
        if self.branches:
            made = branches(positions, self.skeleton, self.branches, valid)
        elif valid is None:
            made = positions
        else:
            made = positions * valid[:, None, :, None, :].to(positions.dtype)
        offered: Sequence[str] = self._offered
        if "person" not in self.input_dims:
            if made.shape[-1] != 1:
                raise ValueError(
                    f"Expected windows of one person, because input_dims name none "
                    f"(got {made.shape[-1]})"
                )
            made, offered = made.squeeze(-1), offered[:-1]
        return made.permute([offered.index(dim) for dim in self.input_dims]).contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of the network's input."""
        return self._checked(self.adapter(x), len(x))

    def layer_names(self) -> tuple[str, ...]:
        """Return the names of the layers that can be explained, in the order they run."""
        return self._layers

    def get_layer(self, layer: str) -> nn.Module:
        """Return the module whose output is the named layer's activation."""
        return self.adapter.get_layer(one_of("layer", layer, self._layers))

    def unfold(self, layer: str, activation: Tensor, samples: int) -> Tensor:
        """View an activation as (sample, person, feature, time, joint)."""
        return self.adapter.unfold(layer, activation, samples)

    def _checked(self, logits: Any, samples: int) -> Tensor:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if found != (samples, len(self.classes)):
            raise ValueError(
                f"Expected logits ({samples}, {len(self.classes)}) of the network, a row per "
                f"window and a column for each of the classes (got {found})"
            )
        return logits

    def _own(self, method: str) -> Callable[..., Any] | None:
        """Return a method of the network's class; a submodule of that name is none."""
        found = callable(getattr(type(self.adapter), method, None))
        return getattr(self.adapter, method) if found else None

    def _order(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Return the order of the input's axes: as said here and by the network."""
        said, wanted = tuple(self.adapter.input_dims), tuple(wanted)
        if said and wanted and said != wanted:
            raise ValueError(
                f"Expected input_dims {', '.join(said)}, as the network says of itself "
                f"(got {', '.join(wanted)})"
            )
        order = said or wanted or self._offered
        if self._own("features") is None:
            whole, alone = set(self._offered), set(self._offered) - {"person"}
            if order[0] != "sample" or len(set(order)) < len(order) or set(order) not in (
                whole, alone
            ):  # fmt: skip
                raise ValueError(
                    f"Expected input_dims that put {', '.join(self._offered)} into an order, "
                    f"'sample' first (got {', '.join(order)})"
                )
        return order

    def _name_axes(self) -> None:
        """Say what lies along the axes; what the network says of itself counts more."""
        ndim = self.skeleton.ndim
        ours: dict[str, Sequence[str]] = {"joint": self.skeleton.joints, "class": self.classes}
        if self._own("features") is None:
            named = shared_channel_names(ndim) if self.branches else list("xyz"[:ndim])
            ours |= {"channel": named, "branch": self.branches}
        if self.branches:
            self.channel_names = channel_names(self.branches, ndim)
        self.axis_names = {**ours, **self.adapter.axis_names}
        if isinstance(self.adapter, Adapter):
            self.adapter.input_dims, self.adapter.axis_names = self.input_dims, self.axis_names
            self.adapter.skeleton = self.adapter.skeleton or self.skeleton

    def _probe(self) -> tuple[str, ...]:
        """Run once; return the names of the layers that can be explained."""
        generator = torch.Generator().manual_seed(1234)
        positions = torch.randn(_PROBES, *self._shape, generator=generator)
        weights = next(self.parameters(), positions)
        calls: Counter[str] = Counter()
        understood: list[str] = []

        def note(name: str) -> Callable[..., None]:
            def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
                calls[name] += 1
                if calls[name] == 1:
                    found = tensors_in(output)
                    understood.extend(
                        name + place
                        for place, t in found.items()
                        if self._is_map(name + place, t, x)
                    )

            return hook

        x = self.features(positions.to(weights.device))
        named = self.adapter.model if isinstance(self.adapter, Adapter) else self.adapter
        hooks = [m.register_forward_hook(note(name)) for name, m in named.named_modules() if name]
        try:
            with undisturbed(self), torch.no_grad():
                self._first_pass(x)
        finally:
            for hook in hooks:
                hook.remove()
        own = self._own("layer_names")
        return tuple(own() if own else (each for each in understood if calls[module_of(each)] == 1))

    def _first_pass(self, x: Tensor) -> None:
        try:
            logits = self.adapter(x)
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            sizes = ", ".join(f"{d} {n}" for d, n in zip(self.input_dims, x.shape, strict=False))
            raise ValueError(
                f"Expected a network that takes ({sizes}), in this order of input_dims "
                f"({type(error).__name__}: {said})"
            ) from error
        self._checked(logits, len(x))

    def _is_map(self, layer: str, output: Tensor, x: Tensor) -> bool:
        """Whether an activation has maps of the input's joints and persons."""
        if module_of(layer) != layer and not isinstance(self.adapter, Adapter):
            return False  # who answers for itself knows modules, not places in what they return
        try:
            maps = self.adapter.unfold(layer, output, len(x))
            sizes = {"joint": maps.shape[4], "person": maps.shape[1]}
            expect_axes(self.adapter, layer, sizes, x)
        except Exception:  # an `unfold` of somebody's own raises whatever it likes
            return False
        return maps.ndim == 5 and maps.is_floating_point()
