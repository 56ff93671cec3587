"""Explaining windows shard by shard, each described by what pictures and measures need."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hargcn import remote
from hargcn.checks import one_of
from hargcn.data.windows import Batch, Windows
from hargcn.explainers.base import NEEDS, Explainer
from hargcn.explainers.cam.base import ActivationMap
from hargcn.explainers.contrast import Contrast, expect_classes, expect_two_words
from hargcn.explainers.targets import Later, named_classes
from hargcn.explanation import Explanation
from hargcn.files import locked
from hargcn.networks.branches import PositionModel
from hargcn.networks.network import SkeletonNetwork
from hargcn.outputs import outputs_of
from hargcn.pipeline.job import code_of, identity
from hargcn.pipeline.known import with_input
from hargcn.pipeline.opening import known_outcomes, true_classes
from hargcn.pipeline.seen import Unseen
from hargcn.pipeline.shard_work import do_shards
from hargcn.pipeline.shards import Shards, outputs, parts_of

Network = SkeletonNetwork | PositionModel

KEPT = {"full": (), "joint-time": ("branch", "channel"), "joint": ("branch", "channel", "time")}
"""What of the attributions a file may keep: over which axes they are added up."""

AT_ONCE = 32
"""Windows in memory with all that explaining them takes."""

LARGE = 256
"""About how many windows a shard of a fast method has: writing one costs as much for fewer."""

_FEW = 4  # passes of a window through the network


def _asked(
    explainer: Explainer, layers: Sequence[str], words: tuple[str, str], network: Network
) -> dict[str, Any]:
    own = {key: value for key, value in explainer.settings.items() if key not in NEEDS}
    on = "positions" if isinstance(network, PositionModel) else "branches"
    return {
        "method": explainer.name,
        "settings": own,
        "layer": [*layers],
        "target": words[0],
        "versus": words[1],
        "on": on,
    }


def explain_windows(
    network: Network,
    windows: Windows,
    explainer: Explainer,
    out: str | Path,
    *,
    layers: Sequence[str] = (),
    target: str = "predicted",
    versus: str = "",
    request: dict[str, Any] | None = None,
    shard: int | None = None,
    keep: str = "full",
    part: str = "",
    engine: str = "local",
    address: str | None = None,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> list[Path]:
    """Explain windows shard by shard and join the shards into one file per layer.

    The same call after a kill goes on where it stopped; where its files are there and whole,
    nothing is computed. A change of hargcn's code, of the method's, of the network or of the
    windows makes it another job.

    Parameters
    ----------
    network
        On branches, or on positions.
    windows
        What to explain.
    explainer
        The method.
    out
        The explanation file; with several layers their names are put before its suffix.
    layers
        Several layers instead of the explainer's own.
    target, versus
        As for `explain`.
    request
        Arguments of `explain`, stored with the explanations so that they can be made again;
        without, those of the explainer, which say nothing of where a background came from.
    shard
        Windows per shard, `AT_ONCE` of which are explained at once; by default as many, or evenly
        about `LARGE` where a window takes a few passes, so that writing takes little beside them.
    keep, part, engine, address
        As for `explain`.
    progress
        Whether to show a progress bar.
    say
        Gets a line for files that are finished already, else the forecast of a method that has one.

    Returns
    -------
    list of Path
        The files written.

    Warns
    -----
    UserWarning
        Where more than a fifth of the positive attribution lies on cells that nobody saw.

    Raises
    ------
    ValueError
        For windows that do not fit the network, another process that makes the same file, or a
        folder of that name and `.parts` which is no job's.
    """
    same_skeleton(network, windows)
    explainer.expect_outputs(network)
    if not len(windows):
        raise ValueError(f"{windows.path}: expected windows to explain (got none)")
    check_target(network, windows, target, versus)
    _check_rates(network, windows, explainer)
    out = Path(out)
    own = [*layers] or [getattr(explainer, "layer", "")]
    if shard is None:
        fast = 0 < _rows_each(network, explainer, windows) <= _FEW
        shard = -(-len(windows) // max(1, round(len(windows) / LARGE))) if fast else AT_ONCE
    asked = json.dumps(request or _asked(explainer, layers, (target, versus), network))
    job = {
        "code": code_of(explainer), "model": identity(network), "data": windows.digest,
        "windows": windows.names, "shard": shard, "target": target, "versus": versus,
        "keep": keep, "settings": explainer.settings, "layers": own, "request": request,
    }  # fmt: skip
    count = -(-len(windows) // shard)
    numbers = _numbers(part, count)
    with nullcontext() if part else locked(out):
        shards = Shards(parts_of(out), job, count)
        if finished := shards.finished(out, own):
            if say is not None:
                named = ", ".join(map(str, finished))
                say(f"{named}: finished before, nothing to do (remove it to make it anew)")
            return finished
        if say is not None:
            _forecast(network, windows, explainer, say)
        if engine == "ray" and not remote.url(windows.path):  # nodes have folders of their own
            windows = replace(windows, path=windows.path.absolute())
        work = _Work(
            network, windows, explainer, shards, shard, target, versus, layers, keep, asked
        )
        unseen, met = Unseen(), set()

        def meet(number: int, made: Mapping[str, Explanation]) -> None:
            files = outputs(out, list(made))
            for layer, explanation in made.items():
                unseen.add(files[layer], explanation)
            met.add(number)

        do_shards(
            work, numbers, "explaining", engine=engine, address=address, progress=progress,
            telling=work.telling, meet=meet,
        )  # fmt: skip
        if part:
            return []
        written = list(shards.join(out, unseen.add, met).values())
    unseen.warn()
    return written


@dataclass(frozen=True, eq=False)
class _Work:
    """What it takes to explain any shard of a job, here or in another process."""

    network: Network
    windows: Windows
    explainer: Explainer
    shards: Shards
    shard: int
    target: str
    versus: str
    layers: Sequence[str]
    keep: str
    asked: str

    def size(self, number: int) -> int:
        """Return how many windows a shard has."""
        return min(self.shard, len(self.windows) - number * self.shard)

    def __call__(self, number: int) -> dict[str, Explanation]:
        """Explain a shard, write it and return it, by layer."""
        first = number * self.shard
        some = self.windows.subset(slice(first, first + self.size(number)))
        words = (self.target, self.layers, self.versus)
        made = explain_batch(self.network, some, self.explainer, *words, keep=self.keep)
        said = {name: each.assign(request=self.asked) for name, each in made.items()}
        self.shards.add(number, said)
        return said

    @cached_property
    def rows(self) -> int:
        """How many rows go through the network for a window; 0 where nobody knows before."""
        return _rows_each(self.network, self.explainer, self.windows)

    @contextmanager
    def telling(self, told: Callable[[float], None]) -> Iterator[None]:
        """Tell by rows how many windows are done, while a block makes a shard."""
        each = self.rows
        with _counted(self.network, lambda rows: told(rows / each)) if each else nullcontext():
            yield


def _numbers(part: str, count: int) -> range:
    """Return the numbers of the shards of a part such as "0/8", of all without.

    Raises
    ------
    ValueError
        For anything else.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", part or "0/1")
    if found is None or int(found[1]) >= int(found[2]):
        raise ValueError(f"Expected --part K/N with K from 0 to N - 1, such as 0/8 (got {part!r})")
    return range(int(found[1]), count, int(found[2]))


def _forecast(
    network: Network, windows: Windows, explainer: Explainer, say: Callable[[str], None]
) -> None:
    """Say how long it takes, where the method knows; measuring costs a pass or two."""
    if getattr(explainer, "exact", True):
        told = explainer.forecast(network, network.inputs(windows.read([0])), len(windows))
        if told is not None:
            say(str(told))


def _rows_each(network: Network, explainer: Explainer, windows: Windows) -> int:
    """Return how many rows go through the network for a window; 0 where nobody knows before."""
    first = network.inputs(windows.read([0]))
    each = None if explainer.supports(network, first) else explainer.passes(network, first)
    return 0 if each is None or each.most is not None else each.forward + each.tail


@contextmanager
def _counted(network: Network, told: Callable[[int], None]) -> Iterator[None]:
    """Tell how many rows went through a network so far."""
    rows = 0

    def count(_network: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        nonlocal rows
        rows += len(given[0])
        told(rows)

    handle = network.register_forward_pre_hook(count)
    try:
        yield
    finally:
        handle.remove()


def explain_batch(
    network: Network,
    windows: Windows,
    explainer: Explainer,
    target: str,
    layers: Sequence[str] = (),
    versus: str = "",
    *,
    keep: str = "full",
) -> dict[str, Explanation]:
    """Explain windows, `AT_ONCE` at once; return explanations, described, by layer ("": input)."""
    check_target(network, windows, target, versus)
    batch = windows.read()
    parts = [
        {
            name: reduced(each, keep)
            for name, each in _explained(
                network, windows.subset(some), batch[some], explainer, target, layers, versus
            ).items()
        }
        for some in (slice(at, at + AT_ONCE) for at in range(0, len(windows), AT_ONCE))
    ]
    # Describing costs the same for any number of windows: it comes last, once.
    return {
        name: described(
            Explanation.concat([part[name] for part in parts]), network, windows, batch
        ).assign(kept=keep)
        for name in parts[0]
    }


def _explained(
    network: Network,
    windows: Windows,
    batch: Batch,
    explainer: Explainer,
    target: str,
    layers: Sequence[str],
    versus: str,
) -> dict[str, Explanation]:
    """Explain windows at once; return explanations with what is known of the network's input."""
    x = network.inputs(batch)
    labels, known = true_classes(network, windows), outputs_of(network)
    wanted: Any = Later(lambda logits: named_classes(target, logits, labels, known))
    asked: nn.Module = network
    if versus or not explainer.tells_logits:
        asked, wanted, logits = question(network, windows, x, target, versus)
    if isinstance(explainer, ActivationMap):
        made = explainer.at_layers(asked, x, wanted, layers or [explainer.layer])
    else:
        made = {"": explainer.at_rate(batch.fps)(asked, x, wanted)}
    if isinstance(asked, Contrast):
        made = {name: asked.named(one) for name, one in made.items()}
    if isinstance(wanted, Later):
        logits = wanted.told.to(x.dtype)
    return with_input(made, network, x, batch, _probability(network, logits))


def question(
    network: Network, windows: Windows, x: Tensor, target: str, versus: str = ""
) -> tuple[nn.Module, Tensor, Tensor]:
    """Return the network to ask, a contrast for a difference, which output of each window, logits.

    Parameters
    ----------
    network, windows
        A network and what it is asked about.
    x
        Its input for them.
    target, versus
        As for `explain`.
    """
    with torch.inference_mode():
        logits = network(x)
    labels, known = true_classes(network, windows), outputs_of(network)
    wanted = named_classes(target, logits, labels, known)
    if not versus:
        return network, wanted, logits
    other = named_classes(versus, logits, labels, known)
    contrast = Contrast(network, x, wanted, other, logits)
    return contrast, contrast.asked, logits


def _probability(network: Network, logits: Tensor) -> dict[str, Any]:
    """Return `probability` (sample,) of the predicted class, where outputs are classes."""
    if outputs_of(network).kind != "classes" or logits.shape[1] < 2:
        return {}
    return {"probability": logits.softmax(dim=1).amax(dim=1)}


def reduced(explanation: Explanation, keep: str) -> Explanation:
    """Return an explanation, or its sums over the axes that `KEPT` names.

    Raises
    ------
    ValueError
        For sums of one without an axis of time and one of joints.
    """
    if one_of("keep", keep, KEPT) == "full":
        return explanation
    if not {"time", "joint"} <= set(explanation.dims):
        raise ValueError(
            f"Expected an explanation over time and joints to keep its sums (got axes "
            f"{', '.join(explanation.dims)})"
        )
    return explanation.sum(*(dim for dim in KEPT[keep] if dim in explanation.dims))


def described(
    explanation: Explanation, network: Network, windows: Windows, batch: Batch
) -> Explanation:
    """Add what the pictures and measures need: names, labels, groups, movement, planted truth."""
    outputs = outputs_of(network)
    variables: dict[str, Any] = {
        **known_outcomes(network, windows),
        "group": batch.group.astype(str),
        "recording": batch.sample.astype(str),
        "fps": batch.fps,
        "seconds": (("sample", "frame"), batch.time),
        "present": (("sample", "person"), batch.valid.any(axis=1)),
        "positions": (("sample", "space", "frame", "joint", "person"), batch.positions),
        "state": (("sample", "frame", "joint", "person"), batch.state),
    }
    if batch.confidence is not None:
        variables["confidence"] = (("sample", "frame", "joint", "person"), batch.confidence)
    for name in ("truth", "distractor"):
        mask = getattr(batch, name)
        if mask is not None:
            variables[name] = (("sample", "frame", "joint"), mask)
    said = {}
    if outputs.kind != "classes":
        explanation = Explanation(explanation.dataset.drop_vars("predicted", errors="ignore"))
        said = {"outputs": json.dumps(outputs.to_dict())}
        said |= {} if outputs.probable else {"utility": "value"}
    return explanation.assign(
        variables,
        {"sample": batch.names},
        **said,
        skeleton=json.dumps(network.skeleton.to_dict()),
        classes=json.dumps(_classes(network)),
        model=_weights(network),
        data=windows.digest,
        frames=windows.frames,
    )


def same_skeleton(network: Network, windows: Windows) -> None:
    """Refuse windows of another skeleton than the network's."""
    if windows.skeleton != network.skeleton:
        raise ValueError(
            f"{windows.path}: expected windows of the network's skeleton {network.skeleton.name} "
            f"(got {windows.skeleton.name})"
        )


def check_target(network: Network, windows: Windows, target: str, versus: str = "") -> None:
    """Refuse a class to explain that the network does not have, before anything is computed.

    Raises
    ------
    ValueError
        For an unknown name (offers the nearest), "label" where one is missing, a class rather than
        itself, and one rather than another where outputs are no classes.
    """
    known = outputs_of(network)
    blank = torch.zeros(len(windows), len(known.columns))
    labels = true_classes(network, windows)
    try:
        named_classes(target, blank, labels, known)
        if versus:
            expect_classes(known)
            named_classes(versus, blank, labels, known)
            expect_two_words(target, versus)
    except ValueError as error:
        raise ValueError(f"{windows.path}: {error}") from error


def _check_rates(network: Network, windows: Windows, explainer: Explainer) -> None:
    """Refuse windows of a frame rate that a method cannot explain, before any is explained."""
    if "rate" not in explainer.needs:
        return
    first = network.inputs(windows.read([0]))
    for rate in np.unique(windows.fps):
        if reason := explainer.at_rate(rate).supports(network, first):
            raise ValueError(f"{windows.path}: {explainer.name}: {reason}")


def _model(network: Network) -> SkeletonNetwork:
    """Return the network on branches, also behind one on positions."""
    model: Any = network.model if isinstance(network, PositionModel) else network
    return model


def _classes(network: Network) -> list[str]:
    return list(_model(network).classes)


def _weights(network: Network) -> str:
    return str(_model(network).card.get("weights", ""))
