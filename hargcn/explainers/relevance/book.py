"""What relevance does at each operation of a network: DeepSHAP's plan, with another book of rules.

Autograd's backward pass carries relevance here, not gradients. Views and selections hand it on as
they hand on gradients; every operation that computes has a rule. What a rule does not hand on is
measured, per sample and operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from hargcn.explainers.deepshap.decompositions import layer_norm
from hargcn.explainers.deepshap.operations import STOPS, choose_rule
from hargcn.explainers.deepshap.rules import Operation, RuleBook, Step
from hargcn.explainers.deepshap.rules_unary import reduce_to
from hargcn.explainers.relevance import rules
from hargcn.explainers.relevance.maps import BIASED, WEIGHTED, alone, base_name, bias_of
from hargcn.explainers.relevance.relative import sample_sums, shared_by_size, shifted
from hargcn.explainers.relevance.roles import SUMS

Found = list[Tensor | None]
Relevance = Callable[[Operation, Tensor], Sequence[Tensor | None]]
OWN: dict[str, Relevance] = {}

_ROUTES = frozenset(
    ("max", "min", "amax", "amin", "maximum", "minimum", "fmax", "fmin",
     *(f"{kind}max_pool{k}d{end}" for kind in ("", "adaptive_") for k in (1, 2, 3)
       for end in ("", "_with_indices")))
)  # fmt: skip
"""Selections: the winner takes all, equal ones share."""

_SCALES = frozenset(("mul", "multiply", "rmul", "div", "divide", "true_divide", "truediv"))
_QUOTIENTS = frozenset(("div", "divide", "true_divide", "truediv"))
_SHIFTS = frozenset(("add", "radd", "sub", "subtract", "rsub"))
_SAME = frozenset(("neg", "negative", "positive", "sqrt", "square", "abs", "absolute"))
_NEITHER = frozenset(("diff", "trapezoid", "real", "imag"))


def _diff(x: Tensor, n: int = 1, dim: int = -1) -> Tensor:
    """Differences of neighbours."""
    for _ in range(n):
        size = x.shape[dim] - 1
        x = x.narrow(dim, 1, size) - x.narrow(dim, 0, size)
    return x


def _addmm(x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """Sum of a tensor and a product."""
    return x * beta + torch.matmul(a, b) * alpha


_BODIES: dict[str, Callable[..., Tensor]] = {
    "diff": _diff,
    "addmm": _addmm,
    "baddbmm": _addmm,
    "layer_norm": layer_norm,
}
"""Operations spelled out in simpler ones."""
_FUNCTION_NAMES = """
relu relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid
tanh softplus logsigmoid log_sigmoid softsign softshrink hardshrink tanhshrink threshold rrelu
expit sin cos atan arctan erf exp exp2 expm1 log log2 log10 log1p tan sinh cosh asin acos arcsin
arccos asinh acosh atanh arcsinh arccosh arctanh erfc erfinv sign floor ceil round trunc prelu
clamp clip clamp_min clamp_max nan_to_num sinc rsqrt reciprocal pow float_power
"""
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())


def register_relevance(*names: str) -> Callable[[Relevance], Relevance]:
    """Make a function what relevance does at the torch functions of these names.

    Parameters
    ----------
    *names
        Names as torch writes them, without in-place underscores.

    Returns
    -------
    callable
        Decorator of ``(op: Operation, relevance: Tensor) -> relevance of each argument``, where
        ``op.background`` are the arguments that depend on the input and ``op.outputs`` the results.
    """

    def add(rule: Relevance) -> Relevance:
        for name in names:
            OWN[name] = rule
        return rule

    return add


@dataclass
class Book:
    """The rules of one explanation, and what they lose.

    Attributes
    ----------
    recipe
        The rule of each kind of operation.
    epsilon, gamma
        Of the rules.
    split
        Whether both factors of a product share, instead of the signal alone.
    lost
        By operation, module and reason: relevance that was not handed on, (sample,).
    """

    recipe: dict[str, str]
    epsilon: float = 1e-6
    gamma: float = 0.25
    split: bool = False
    lost: dict[str, Tensor] = field(default_factory=dict)

    @property
    def rules(self) -> RuleBook:
        """The rules as a plan takes them."""
        return RuleBook(self.choose, "add one with explainers.register_relevance", strict=False)

    def choose(
        self, step: Step, func: Callable[..., Any], base: str, kwargs: dict[str, Any]
    ) -> bool:
        """Set rule or body of a step; False for what has neither."""
        name = base.removeprefix("special_")
        if name in OWN:
            step.rule = OWN[name]
            return True
        rule = refuse if kwargs.get("rounding_mode") else self._rule(name, step.slots)
        if rule is not None:
            step.rule = rule
            return True
        if step.name in _BODIES:  # out of place
            step.body = _BODIES[name]
        if name in _ROUTES or step.body is not None:
            return True
        if not choose_rule(step, func, base, kwargs):
            return base in STOPS
        if step.rule is not None or name in _NEITHER:
            step.rule = refuse
        return True

    def _rule(self, name: str, slots: tuple[int, ...]) -> Relevance | None:
        """Return the rule of an operation, whose arguments in `slots` depend on the input."""
        if name in _FUNCTIONS:
            return self._function
        if name in _SAME:
            return _pass
        if name in _SCALES:
            if name in _QUOTIENTS and slots == (1,):
                return refuse
            return self._scale if len(slots) == 1 else self._product
        if name in WEIGHTED:
            return self._weighted if len(slots) == 1 else self._weighted_product
        if name in _SHIFTS and len(slots) == 1:
            return self._shift
        return self._sum if name in _SHIFTS or name in SUMS else None

    # -- rules -----------------------------------------------------------------------------------

    def _weighted(self, op: Operation, relevance: Tensor) -> Found:
        rule = self._of("input" if op.role.first and "input" in self.recipe else _kind(op), op)
        found = self._linear(op, relevance, rule)
        if op.role.head == "last":
            found = [shared_by_size(op, relevance, found[0])]
        bias = rule not in ("relative", "z-plus") and bool(bias_of(op).ndim)
        return self._note(op, "bias" if bias else rule, relevance, found)

    def _scale(self, op: Operation, relevance: Tensor) -> Found:
        return _pass(op, relevance)

    def _shift(self, op: Operation, relevance: Tensor) -> Found:
        front = op.role.front and "input" in self.recipe
        rule = "pass" if front else self._of("shift", op)
        if rule == "pass":
            return _pass(op, relevance)
        return self._note(op, "bias", relevance, self._linear(op, relevance, rule))

    def _sum(self, op: Operation, relevance: Tensor) -> Found:
        rule = self._of("sum", op)
        return self._note(op, rule, relevance, self._linear(op, relevance, rule))

    def _of(self, kind: str, op: Operation) -> str:
        """Return the rule of a kind; in a head that is marked relevance is what makes the score."""
        return "epsilon" if op.role.head else self.recipe[kind]

    def _linear(self, op: Operation, relevance: Tensor, rule: str) -> list[Tensor]:
        """Apply a rule by its name."""
        eps = self.epsilon
        if rule == "epsilon":
            return rules.epsilon(op, relevance, eps)
        if rule == "flat":
            return rules.flat(op, relevance, eps)
        if rule == "w2":
            return rules.w_square(op, relevance, eps)
        if rule == "z-box":
            return rules.z_box(op, relevance, eps, *op.role.box)
        shares: dict[str, Callable[[rules.Sums, Tensor], rules.Shares]] = {
            "gamma": lambda sums, r: rules.gamma(sums, r, eps, self.gamma),
            "alpha1-beta0": lambda sums, r: rules.alpha_beta(sums, r, eps, 0),
            "alpha2-beta1": lambda sums, r: rules.alpha_beta(sums, r, eps, 1),
            "z-plus": lambda sums, r: rules.z_plus(sums, r, eps),
            "relative": lambda sums, r: rules.relative(sums, r, eps, _kind(op) != "linear"),
        }
        found = rules.by_sign(op, relevance, shares[rule])
        return [shifted(op, relevance, found[0])] if rule == "relative" else found

    def _product(self, op: Operation, relevance: Tensor) -> Found:
        """Give the signal everything and its gate nothing, and two alike half each."""
        quotient = base_name(op) in _QUOTIENTS
        signal = 0 if quotient else self._signal(op)
        parts = [reduce_to(relevance, x) for x in op.background]
        if signal is None:
            return self._note(op, "halves", relevance, [part / 2 for part in parts])
        found: Found = [part if k == signal else None for k, part in enumerate(parts)]
        why = "denominator takes none" if quotient else "gate takes none"
        return self._note(op, why, relevance, found)

    def _weighted_product(self, op: Operation, relevance: Tensor) -> Found:
        """Treat the gate as weights; where two are alike, each half with the other as weights."""
        if len(op.step.slots) > 2:
            return refuse(op, relevance)
        signal = self._signal(op)
        if signal is None:
            half = relevance / 2
            pairs = [self._linear(alone(op, k), half, "epsilon")[0] for k in (0, 1)]
            return self._note(op, "halves", relevance, [*pairs])
        rule = self.recipe["graph"]
        (part,) = self._linear(alone(op, signal), relevance, rule)
        found: Found = [part if k == signal else None for k in (0, 1)]
        return self._note(op, "gate takes none", relevance, found)

    def _signal(self, op: Operation) -> int | None:
        return None if self.split else op.role.signal

    def _function(self, op: Operation, relevance: Tensor) -> Found:
        """Hand on the share of f(x) - f(0) in f(x): everything, where f(0) = 0."""
        if len(op.step.slots) > 1:
            return refuse(op, relevance)
        (x,), y = op.background, op.outputs[0]
        level = op.call(torch.zeros_like(x))
        if not bool(level.isfinite().all()):
            return refuse(op, relevance)
        if not bool(level.any()):
            return _pass(op, relevance)
        share = (y - level) / rules.stabilised(y, self.epsilon)
        found: Found = [reduce_to(relevance * share, x)]
        return self._note(op, "value at 0", relevance, found)

    # -- what is lost ----------------------------------------------------------------------------

    def _note(self, op: Operation, why: str, relevance: Tensor, found: Sequence[Any]) -> Found:
        """Measure what a rule does not hand on."""
        n = op.n
        if not op.step.output_layouts:
            return refuse(op, relevance, "expected values that stand apart for each sample")
        lost = sample_sums(relevance, op.step.output_layouts[0], n)
        for part, layout in zip(found, op.step.layouts, strict=True):
            if part is not None:
                lost = lost - sample_sums(part, layout, n)
        place = f"{op.step.path or 'the model itself'}: {base_name(op)} ({why})"
        self.lost[place] = self.lost.get(place, torch.zeros_like(lost)) + lost
        return list(found)


def boxed(op: Operation, low: Tensor, high: Tensor) -> None:
    """Tell an operation the bounds of its argument."""
    op.role = replace(op.role, box=(torch.minimum(low, high), torch.maximum(low, high)))


def _kind(op: Operation) -> str:
    """Return which kind of operation with weights one is."""
    name = base_name(op)
    if name == "linear":
        return "linear" if op.background[0].ndim == 2 else "convolution"
    return "convolution" if name in BIASED else "graph"


def _pass(op: Operation, relevance: Tensor) -> Found:
    """Hand on everything to the one argument."""
    return [reduce_to(relevance, op.background[0])]


def refuse(
    op: Operation, relevance: Tensor, wanted: str = "expected a rule for its relevance"
) -> Found:
    """Say that relevance knows no way through an operation, where any arrives."""
    if not bool(relevance.any()):
        return [None] * len(op.step.slots)
    raise ValueError(
        f"{op.step.where}: {wanted} (got none); explainers.register_relevance can give it a rule"
    )
