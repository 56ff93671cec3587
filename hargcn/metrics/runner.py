"""How measures run a model: many edited windows through one forward, in bounded batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn

from hargcn.explainers.edges.graphs import Telling, graph_layers
from hargcn.explainers.hooks import undisturbed
from hargcn.files import track
from hargcn.outputs import Outputs
from hargcn.perturbation import EdgeEdit, Edit, InputEdit
from hargcn.skeleton import Skeleton

Change = Callable[[Tensor, np.ndarray], tuple[Tensor, Mapping[str, Tensor]]]

# Frames x joints x persons per forward. More only evict each other from a CPU's cache.
_CELLS = {"cpu": 40_000, "other": 2_000_000}
# Enough rows per block for full batches, few enough that a block's results stay small.
_BATCHES_PER_BLOCK = 16


@dataclass(frozen=True)
class Runner:
    """How measures run a model.

    Parameters
    ----------
    features
        Turns what is edited into the model's input, e.g. `model.features` where x are positions
        (N, C, T, V, M); default: x is the model's input itself.
    valid
        (N, T, M) bool, the frames in which a person is present; handed on to `features`.
    skeleton
        For the input edits that need one.
    batch
        Rows per forward; bounds the memory. Default: by the size of a window, few enough on a CPU
        for activations to stay in its cache.
    seed
        Seed of every draw.
    progress
        Whether to show a bar.
    start, whole
        These windows are those from number `start` on of `whole` ones (default: all there are).
        What is drawn for a window is drawn by its number among all, so that measuring them part by
        part changes nothing.
    """

    features: Callable[..., Tensor] | None = None
    valid: Tensor | None = None
    skeleton: Skeleton | None = None
    batch: int | None = None
    seed: int = 1234
    progress: bool = False
    start: int = 0
    whole: int | None = None

    def part(self, some: slice, count: int) -> Runner:
        """Return how some of `count` windows are run by themselves, without a bar."""
        valid = None if self.valid is None else self.valid[some]
        start, whole = self.start + (some.start or 0), self.whole or count
        return replace(self, valid=valid, progress=False, start=start, whole=whole)

    def uniform(self, sets: int, count: int, each: int) -> np.ndarray:
        """Return uniform numbers (sets, count, each) in [0, 1) of these `count` windows.

        They are those that a generator of the seed draws for all windows, (sets, whole, each) at
        once; what lies before them is left out.
        """
        whole, drawn = self.whole or count, []
        for number in range(sets):
            rng = self.generator((number * whole + self.start) * each)
            drawn.append(rng.random((count, each)))
        return np.stack(drawn)

    def generator(self, after: int) -> np.random.Generator:
        """Return a generator of the seed that has drawn so many numbers."""
        bits = np.random.PCG64(self.seed)
        bits.advance(after)
        return np.random.Generator(bits)

    def seeds(self, sample: np.ndarray, *more: np.ndarray) -> np.ndarray:
        """Return seeds (n, 2 or more) of rows: the seed, the window's number among all, and more.

        Parameters
        ----------
        sample
            (n,) the windows' numbers among these.
        more
            (n,) each, such as the numbers of draws.
        """
        return np.column_stack([np.full(len(sample), self.seed), self.start + sample, *more])

    def prepare(self, x: Tensor, sample: np.ndarray) -> Tensor:
        """Turn edited windows, rows of the samples `sample`, into the model's input."""
        if self.features is None:
            return x
        valid = self._valid(sample)
        return self.features(x) if valid is None else self.features(x, valid)

    def logits(self, model: nn.Module, x: Tensor) -> np.ndarray:
        """Return the logits (N, classes) of windows as they are."""
        return self._forward(model, x, np.arange(len(x)), lambda part, _: (part, {}))

    def edited(
        self,
        model: nn.Module,
        x: Tensor,
        edit: Edit,
        joints: np.ndarray,
        draws: int = 1,
        label: str = "perturb",
    ) -> np.ndarray:
        """Score every window with each of several sets of joints, or edges, edited.

        Sets that occur twice in a window are scored once; the random numbers of an edit depend on
        the seed, the sample and the draw, not on the set, so that nested sets differ by their
        joints alone.

        Parameters
        ----------
        model
            For edge edits with `edges()` and `forward(x, edges=...)`; to cut single edges any
            network with graphs.
        x
            (N, ..., T, V, M).
        edit
            What happens to the joints of a set.
        joints
            (N, S, V) bool, or int: the turns of an edit that is ordered; (N, S, V, V) bool of one
            of single edges (see `EdgeEdit.apply`).
        draws
            How often an edit that draws random numbers is repeated; others are done once.

        Returns
        -------
        numpy.ndarray
            (N, S, draws or 1, classes) logits.
        """
        sets = joints.shape[1]
        draws = draws if edit.drawn else 1
        network, edges = self._telling(model, x, edit)
        parts = []
        for block in self.blocks(x, sets * draws, label):
            grid = np.meshgrid(block, range(sets), range(draws), indexing="ij")
            sample, chosen, draw = (each.ravel() for each in grid)
            joint_sets = joints[sample, chosen]
            draw, once, back = _distinct(sample, draw, joint_sets)
            change = self._change(edit, sample[once], draw[once], joint_sets[once], edges)
            scored = self._forward(network, x, sample[once], change)
            parts.append(scored[back].reshape(len(block), sets, draws, -1))
        return np.concatenate(parts)

    def distinct(self, edit: Edit, joints: np.ndarray, draws: int = 1) -> int:
        """Return how many windows `edited` scores for sets (N, S, ...) of joints, or edges."""
        draws = draws if edit.drawn else 1
        grid = np.meshgrid(*map(range, joints.shape[:2]), range(draws), indexing="ij")
        sample, chosen, draw = (each.ravel() for each in grid)
        return len(_distinct(sample, draw, joints[sample, chosen])[1])

    def blended(
        self,
        model: nn.Module,
        x: Tensor,
        substrate: Tensor,
        keep: Callable[[np.ndarray], np.ndarray],
        steps: int,
        label: str = "blend",
    ) -> np.ndarray:
        """Score windows blended with a substrate, the cells kept as `keep` says.

        Parameters
        ----------
        x, substrate
            (N, ..., T, V, M).
        keep
            Of sample indices (n,) the shares to keep, (n, steps, T, V) in [0, 1].

        Returns
        -------
        numpy.ndarray
            (N, steps, classes) logits.
        """
        parts = []
        for block in self.blocks(x, steps, label):
            shares = torch.from_numpy(keep(block).astype(np.float32)).flatten(0, 1).to(x)
            rows = np.repeat(block, steps)

            def change(
                part: Tensor, at: np.ndarray, shares: Tensor = shares, rows: np.ndarray = rows
            ) -> tuple[Tensor, Mapping[str, Tensor]]:
                return blend(part, substrate[rows[at]], shares[at]), {}

            scored = self._forward(model, x, rows, change)
            parts.append(scored.reshape(len(block), steps, -1))
        return np.concatenate(parts)

    def blocks(self, x: Tensor, rows: int, label: str) -> Iterator[np.ndarray]:
        """Yield sample indices in blocks of a bounded number of rows, `rows` per sample."""
        return self._spans(len(x), max(1, _BATCHES_PER_BLOCK * self.rows(x) // rows), label)

    def batches(self, x: Tensor, label: str) -> Iterator[np.ndarray]:
        """Yield sample indices in batches under a bar."""
        return self._spans(len(x), self.rows(x), label)

    def _spans(self, samples: int, size: int, label: str) -> Iterator[np.ndarray]:
        starts = range(0, samples, size)
        for start in track(starts, label, len(starts), self.progress):
            yield np.arange(start, min(start + size, samples))

    def rows(self, x: Tensor) -> int:
        """Return how many rows like those of x (N, ..., T, V, M) go through one forward."""
        cells = _CELLS["cpu" if x.device.type == "cpu" else "other"]
        fitting = cells // max(1, x.shape[-3] * x.shape[-2] * x.shape[-1])
        return self.batch or min(max(fitting, 4), 256)

    def _telling(
        self, model: nn.Module, x: Tensor, edit: Edit
    ) -> tuple[nn.Module, Mapping[str, Tensor]]:
        """Return a network and the edges to edit: its own, else those of graphs to be watched."""
        if not isinstance(edit, EdgeEdit):
            return model, {}
        own = getattr(model, "edges", None)
        if callable(own) and (own() or edit.which != "single"):
            return model, own()
        if edit.which != "single":
            raise TypeError(f"Expected a model with edges() to edit (got {type(model).__name__})")
        if edit.op != "zero":
            raise ValueError(
                f"Expected edge:single:zero for a network that tells no edge weights (got {edit})"
            )
        watched = Telling(model, graph_layers(model, self.prepare(x[:1], np.arange(1))))
        return watched, watched.edges()

    def _valid(self, sample: np.ndarray) -> Tensor | None:
        return None if self.valid is None else self.valid[sample]

    def _change(
        self,
        edit: Edit,
        sample: np.ndarray,
        draw: np.ndarray,
        joints: np.ndarray,
        edges: Mapping[str, Tensor],
    ) -> Change:
        """Return what applies an edit to rows: which window, which draw, which joints."""

        def change(part: Tensor, at: np.ndarray) -> tuple[Tensor, Mapping[str, Tensor]]:
            chosen = torch.from_numpy(joints[at]).to(part.device)
            seeds = self.seeds(sample[at], draw[at])
            if isinstance(edit, EdgeEdit):
                return part, edit.apply(edges, chosen, seeds)
            valid = self._valid(sample[at])
            moved = edit.apply(part, chosen, skeleton=self.skeleton, valid=valid, seeds=seeds)
            return moved, {}

        return change

    def _forward(
        self, model: nn.Module, x: Tensor, sample: np.ndarray, change: Change
    ) -> np.ndarray:
        """Return the logits of rows, row r being a changed copy of window sample[r]."""
        parts = []
        with undisturbed(model), torch.inference_mode():
            size = self.rows(x)
            for start in range(0, len(sample), size):
                at = np.arange(start, min(start + size, len(sample)))
                part, edges = change(x[sample[at]], at)
                ready = self.prepare(part, sample[at])
                parts.append(model(ready, edges=edges) if edges else model(ready))
        return torch.cat(parts).double().cpu().numpy()


def _distinct(
    sample: np.ndarray, draw: np.ndarray, joints: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each row's draw, the rows that differ, and which of these each row is like."""
    flat = joints.reshape(len(joints), -1)
    draw = draw * flat.any(1)  # nothing is drawn where nothing is edited
    packed = np.packbits(flat, axis=1) if flat.dtype == bool else flat
    keys = np.column_stack([sample, draw, packed])
    _, once, back = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return draw, once, back.ravel()


def blend(x: Tensor, substrate: Tensor, keep: Tensor) -> Tensor:
    """Keep a share (N, T, V) of every cell of x (N, ..., T, V, M) and fill up from a substrate."""
    share = keep.reshape(len(keep), *[1] * (x.ndim - 4), *keep.shape[1:], 1)
    return torch.lerp(substrate, x, share.to(x))


def substrate(x: Tensor, edit: InputEdit, run: Runner) -> Tensor:
    """Return what takes the place of removed evidence: every joint of every window edited."""
    everything = torch.ones(len(x), x.shape[-2], dtype=torch.bool)
    seeds = run.seeds(np.arange(len(x)))
    return edit.apply(x, everything, skeleton=run.skeleton, valid=run.valid, seeds=seeds)


_CLASSES = Outputs()


def probability(logits: np.ndarray, target: np.ndarray, outputs: Outputs = _CLASSES) -> np.ndarray:
    """Return the probability of each sample's class: (N, ..., classes) -> (N, ...).

    A softmax of classes, a sigmoid of labels and of levels that are reached. A regression has none:
    there it is the value itself, in its units.
    """
    if outputs.kind == "classes":
        shifted = logits - logits.max(-1, keepdims=True)
        p = np.exp(shifted) / np.exp(shifted).sum(-1, keepdims=True)
    else:
        p = expit(logits) if outputs.probable else logits
    at = np.asarray(target, int).reshape(-1, *[1] * (p.ndim - 1))
    return np.take_along_axis(p, at, axis=-1)[..., 0]


def same_answer(logits: np.ndarray, others: np.ndarray, outputs: Outputs) -> np.ndarray:
    """Return (N,) bool: two outputs (N, output) say the same class, level or labels.

    Of a regression any two values do.
    """
    if outputs.kind == "classes":
        return logits.argmax(1) == others.argmax(1)
    return ((logits > 0) == (others > 0)).all(1) | (not outputs.probable)
