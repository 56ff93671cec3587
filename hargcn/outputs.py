"""What the outputs of a network mean: classes, numbers, levels in order, or several labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from hargcn.checks import one_of

Kind = Literal["classes", "regression", "ordinal", "multi-label"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""One of several classes; numbers; one of several levels in order; any of several labels."""


@dataclass(frozen=True)
class Outputs:
    """What is known of a recording's outcome, and what a network says of it.

    The description travels from the windows file to the network and its card, and from there to
    training, figures, explanations and measures. A foreign network may bear one as its attribute
    `outputs`; without, its outputs are logits of classes.

    Parameters
    ----------
    kind
        One of `KINDS`.
    names
        Of the classes, of the numbers, of the labels; of the levels, the lowest first.

    Raises
    ------
    ValueError
        For an unknown kind, and (classes apart) no names, the same one twice, or fewer than two
        levels.
    """

    kind: Kind = "classes"
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        one_of("kind of outputs", self.kind, KINDS)
        object.__setattr__(self, "names", tuple(map(str, self.names)))
        least = {"classes": 0, "ordinal": 2}.get(self.kind, 1)
        distinct = self.kind == "classes" or len(set(self.names)) == len(self.names)
        if len(self.names) < least or not distinct:
            raise ValueError(
                f"Expected at least {least} different names of {self.kind} outputs "
                f"(got {', '.join(self.names) or 'none'})"
            )

    @classmethod
    def of(cls, described: Outputs | Sequence[str]) -> Outputs:
        """Return a description as it is, or that of classes with these names."""
        return described if isinstance(described, Outputs) else cls("classes", tuple(described))

    @property
    def columns(self) -> tuple[str, ...]:
        """What each output of a network is called, in their order.

        With K levels a network has K - 1 outputs: the log-odds that a level is reached. They differ
        by constants only, for there is one score behind them.
        """
        if self.kind != "ordinal":
            return self.names
        return tuple(f"at least {level}" for level in self.names[1:])

    @property
    def listed(self) -> bool:
        """Whether an outcome is one of `names`, a label; otherwise a value for each of them."""
        return self.kind in ("classes", "ordinal")

    @property
    def probable(self) -> bool:
        """Whether a probability belongs to every output."""
        return self.kind != "regression"

    def column(self, word: str) -> int | None:
        """Return the output of that name, of a level that of reaching it; None for another word."""
        if word in self.columns:
            return self.columns.index(word)
        return (
            self.names.index(word) - 1
            if self.kind == "ordinal" and word in self.names[1:]
            else None
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers, for JSON."""
        return {"kind": self.kind, "names": list(self.names)}

    @classmethod
    def from_dict(cls, content: Any, source: str) -> Outputs:
        """Return what `to_dict` took apart.

        Raises
        ------
        ValueError
            For anything else; names the source.
        """
        names = content.get("names") if isinstance(content, Mapping) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{source}: expected kind and names of the outputs (got {content!r})")
        try:
            return cls(one_of("kind of outputs", str(content.get("kind")), KINDS), tuple(names))
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error


def outputs_of(network: Any) -> Outputs:
    """Return what a network says of its outputs; logits of classes where it says nothing."""
    own = getattr(network, "outputs", None)
    return own if isinstance(own, Outputs) else Outputs()
