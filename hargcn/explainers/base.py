"""What every explainer is: one call, one result, and what it says about itself.

A method is a class in a module of this package (or an entry point `hargcn.methods` outside): its
fields are its settings, its class attributes say what it is. Nothing else lists it.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from hargcn.explainers.contrast import Contrast
from hargcn.explainers.finite import finite_input, finite_result
from hargcn.explainers.hooks import expect_fixed
from hargcn.explainers.passes import Passes, forecast_of
from hargcn.explainers.scores import expect_utility
from hargcn.explanation import Explanation
from hargcn.outputs import KINDS, Kind, outputs_of
from hargcn.registry import Registry, build, fields_of, meanings, settings, written_type

Promise = Literal["adds up", "none"]
Need = Literal["layer", "background", "mask", "shap", "cam", "rate"]
NEEDS: tuple[Need, ...] = get_args(Need)

NO_BANDS = (
    "expected the method shap-rhythm for bands of frequencies: they are formed from multipliers "
    "and differences of every background row, which neither class activation maps nor means over "
    "rows have (the transform of a finished map is another thing: a tremor of 5 Hz would be at 10)"
)
"""Why other methods have no bands."""


@settings
class Explainer(ABC):
    """A method of explaining the score of one class per sample.

    A subclass with a `name` is a method: the command line, tables and pictures know it.

    Attributes
    ----------
    name, label
        As commands and files write it, and as papers print it.
    source
        Where it is defined.
    promise
        "adds up": the values and a base value sum to the score, and the gap is stored.
    needs
        Fields that are no settings, because whoever asks has to give them: "layer", "background",
        "rate" (frames per second).
    cost
        In passes through the network: F forward, B backward.
    kinds
        Outputs that it explains (see `hargcn.outputs`).
    """

    name: ClassVar[str]
    label: ClassVar[str]
    source: ClassVar[str]
    promise: ClassVar[Promise] = "none"
    needs: ClassVar[tuple[Need, ...]] = ()
    cost: ClassVar[str] = ""
    kinds: ClassVar[tuple[Kind, ...]] = KINDS

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        METHODS.add(cls)

    @property
    def tells_logits(self) -> bool:
        """Whether the target may be a function of the logits, called once with all samples'."""
        return False

    @classmethod
    def needed(cls, _given: Mapping[str, Any]) -> tuple[Need, ...]:
        """Return what has to be given with these settings: `needs`, and what a setting asks for."""
        return cls.needs

    def passes(self, model: nn.Module, x: Tensor) -> Passes | None:
        """Return the passes per sample, where they are known before it is explained."""
        return None

    def forecast(self, model: nn.Module, x: Tensor, samples: int | None = None) -> Any:
        """Estimate the time of a long run from one pass; None where passes are not known.

        Printed, it says samples, passes and time. `samples` is by default that of x. What is not
        supported has none.
        """
        passes = None if self.supports(model, x) else self.passes(model, x)
        if passes is None:
            return None
        return forecast_of(passes, model, x, len(x) if samples is None else samples)

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why this network or input cannot be explained, "" where it can."""
        return ""

    def at_rate(self, _fps: ArrayLike) -> Explainer:
        """Return the method for samples of these frames per second, where it asks for them."""
        return self

    def expect_outputs(self, model: nn.Module) -> None:
        """Refuse a network whose outputs the method, or the score it was asked for, do not know.

        Raises
        ------
        ValueError
            Names the method, what it knows and what the network says.
        """
        outputs = outputs_of(model)
        if outputs.kind not in self.kinds:
            raise ValueError(
                f"{self.name}: expected a network of {', '.join(self.kinds)} outputs "
                f"(got {outputs.kind}); hargcn methods lists what explains them"
            )
        try:
            expect_utility(getattr(self, "utility", "logit"), outputs)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error

    @abstractmethod
    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Return the explanation; called for what is supported."""

    def __call__(self, model: nn.Module, x: Tensor, target: Any, versus: Any = None) -> Explanation:
        """Explain the score of one class per sample.

        Parameters
        ----------
        model
            Any network (see `hargcn.explainers.Adapter`); evaluated, and left as it was.
        x
            Its input, samples first.
        target
            One class number, or one per sample; for methods that tell logits also a function of
            these (N, classes) that returns them.
        versus
            The same of the class instead of which: the score is that of the difference of the two
            logits then (see `hargcn.explainers.contrast`).

        Raises
        ------
        ValueError
            For a network that the method does not support, targets that are no classes, what is not
            finite (input, scores, attributions), and an argument with a row for each sample.
        """
        if versus is not None:
            contrast = Contrast(model, x, target, versus)
            return contrast.named(self(contrast, x, contrast.asked))
        self.expect_outputs(model)
        reason = self.supports(model, x)
        if reason:
            raise ValueError(f"{self.name}: {reason}")
        finite_input(x)
        expect_fixed(model, x)
        return finite_result(self.explain(model, x, target))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The fields that shape the result, plain enough for JSON; arrays by their digest."""
        kept = {k: info for k, info in fields_of(type(self)).items() if not info.exclude}
        return {name: _plain(getattr(self, name)) for name in kept}


METHODS: Registry[Explainer] = Registry("method", "hargcn.explainers", "hargcn.methods")
"""Every method by its name."""


def methods() -> dict[str, type[Explainer]]:
    """Return every method by its name."""
    return METHODS.all()


def make(name: str, given: Mapping[str, Any], needed: Mapping[str, Any] | None = None) -> Explainer:
    """Build a method by its name.

    Parameters
    ----------
    name
        One of `methods`.
    given
        Its settings.
    needed
        What it needs: `layer`, `background`, `rate`; others are ignored.

    Raises
    ------
    ValueError
        For an unknown method or setting (offers the nearest), a wrong value, a missing need.
    """
    cls = METHODS.find(name)
    if "bands" in given and "bands" not in fields_of(cls):
        raise ValueError(f"{name}: {NO_BANDS}")
    needed = {key: value for key, value in (needed or {}).items() if value is not None}
    missing = [need for need in cls.needed(given) if need not in needed]
    if missing:
        raise ValueError(f"{name}: expected a {' and a '.join(missing)} (got none)")
    own = {key: value for key, value in needed.items() if key in fields_of(cls)}
    return build(cls, {**given, **own}, f"method {name}")


def about(cls: type[Explainer]) -> dict[str, Any]:
    """Return everything a method says about itself, plain enough for JSON."""
    told = meanings(cls)
    rows = [
        {
            "name": name,
            "type": written_type(info.annotation),
            "default": "" if info.is_required() else str(info.get_default()),
            "meaning": told.get(name, ""),
        }
        for name, info in fields_of(cls).items()
        if name not in NEEDS
    ]
    return {
        "label": cls.label,
        "summary": (cls.__doc__ or "").split("\n\n")[0].replace("\n    ", " "),
        "source": cls.source,
        "needs": list(cls.needs),
        "promise": cls.promise,
        "cost": cls.cost,
        "outputs": list(cls.kinds),
        "settings": rows,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Explainer):
        return {"method": value.name, **value.settings}
    if isinstance(value, Tensor | np.ndarray):
        array = np.ascontiguousarray(value.detach().cpu() if isinstance(value, Tensor) else value)
        digest = hashlib.sha256(array.tobytes()).hexdigest()[:16]
        return {"shape": list(array.shape), "digest": digest}
    return str(value).removeprefix("torch.") if isinstance(value, torch.dtype) else value
