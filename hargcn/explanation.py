"""The one result type: attributions with named axes, what they explain, where they come from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from xarray.backends import H5NetCDFStore

from hargcn import hdf5, remote
from hargcn.files import replacing
from hargcn.skeleton import Skeleton

if TYPE_CHECKING:
    import pandas as pd
    import shap
    import torch_geometric.explain

FORMAT = "hargcn-explanation-2"
WHAT = "explanation file"
_VARIABLES = ("attribution", "target", "score")
_ATTRIBUTES = ("method", "layer", "utility", "settings", "skeleton", "dtype", "hargcn", "torch")
_FORMS: dict[str, type] = dict.fromkeys(("settings", "skeleton", "request", "outputs"), dict)
_FORMS |= {"classes": list, **dict.fromkeys(("frames", "time_step", "summed", "averaged"), int)}

DIMS = ("sample", "branch", "channel", "time", "joint", "person")
"""The axes of a model's input, in its order (N, I, C, T, V, M)."""

EDGE_DIMS = ("layer", "partition", "source_joint", "target_joint")
"""The axes of attributions to edges: graphs by layer and partition, from a joint to a joint."""

EXTRA_DIMS = (*EDGE_DIMS, "player", "player_b", "frequency", "y", "x")
"""Further axes that an explanation may have, in this order behind `DIMS`."""

_FOREIGN = re.compile(r"axis\d+")  # axes of inputs that nobody named


def _stored(name: str, doc: str) -> property:
    """Read-only access to a variable that an explanation may hold."""

    def stored(self: Explanation) -> xr.DataArray:
        if name not in self.dataset:
            raise ValueError(f"explanation {self.name!r} holds no {name!r}")
        return self.dataset[name]

    return property(stored, doc=doc)


def _attribute(name: str, doc: str) -> property:
    """Read-only access to an attribute that every explanation has."""
    return property(lambda self: str(self.dataset.attrs[name]), doc=doc)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Signed, unscaled attributions of the scores of some samples.

    Parameters
    ----------
    dataset
        Variable `attribution` with named dims (for skeleton models of `DIMS` and `EXTRA_DIMS`, the
        first always "sample") and the per-sample variables `target`, `score` and, where known,
        `predicted` with its `probability` and `label` (of classes), `level` (of levels), `outcome`
        (sample, output; of a regression and of several labels), `versus` (class), `base_value`,
        `additivity_gap`, `relative_gap`, `standard_error`, `sum_standard_error`, of the input
        `input_size` (sample, branch, channel) and over its frames `comb`, and of the windows
        `positions` (sample, space, frame, joint, person), `state` (sample, frame, joint, person),
        `confidence` like it, `seconds` (sample, frame) and `fps`. Coordinates: names along axes,
        and what each channel is in each branch, `channel_name` (branch, channel). Attributes:
        `method`, `layer`, `utility`, `settings` (JSON), `skeleton` (JSON), `outputs` (JSON, where
        they are no classes), `dtype` (the float type of the computation), `time_step` (frames, of
        the network), `hargcn` and `torch` (their versions), digests.
    """

    dataset: xr.Dataset

    def __post_init__(self) -> None:
        if "attribution" not in self.dataset:
            raise ValueError(
                f"Expected a dataset with a variable 'attribution' (got {list(self.dataset)})"
            )
        if self.values.dims[:1] != ("sample",):
            raise ValueError(f"Expected the first axis to be 'sample' (got {self.values.dims})")

    @classmethod
    def build(
        cls,
        values: Any,
        dims: Sequence[str],
        *,
        method: str,
        target: Any,
        score: Any,
        predicted: Any = None,
        label: str = "",
        layer: str = "",
        utility: str = "logit",
        settings: Mapping[str, Any] | None = None,
        dtype: str = "",
        coords: Mapping[str, Any] | None = None,
        skeleton: Skeleton | None = None,
        frames: int | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> Explanation:
        """Make an Explanation of bare arrays or tensors.

        Parameters
        ----------
        values
            Attributions, one axis per entry of `dims`.
        dims
            Axis names, "sample" first.
        method, label, layer, utility
            What was computed, as pictures call it, at which layer ("" for the input) and for which
            score.
        target, score, predicted
            (sample,) class index explained, its score, and the predicted class.
        settings
            The method's settings; stored as JSON.
        dtype
            The float type of the computation; by default that of the values.
        coords
            Names or positions along axes, names of all "class"es; of several axes (dims, names).
        skeleton
            The key-point layout; pictures need nothing else. With one, axes are of `DIMS` and
            `EXTRA_DIMS`, or "axis1", "axis2", ... where nobody named them.
        frames
            Frames of the input window, so that a coarse map can be brought back to them.
        variables
            More results by name: a (sample,) array, or a tuple (dims, array).
        """
        array = _numpy(values)
        if array.ndim != len(dims):
            raise ValueError(f"Expected one axis for each of {tuple(dims)} (got {array.shape})")
        sizes = dict(zip(dims, array.shape, strict=True))
        if skeleton is not None:
            _expect(dims, (*DIMS, *EXTRA_DIMS), f"explanation {method!r}")
        given = {"target": target, "score": score, "predicted": predicted, **(variables or {})}
        data: dict[str, Any] = {"attribution": (tuple(dims), array)}
        for name, value in given.items():
            if value is not None:
                axes, items = value if isinstance(value, tuple) else (("sample",), value)
                data[name] = (axes, _numpy(items))
        dataset = xr.Dataset(data)
        names = {"sample": [str(i) for i in range(sizes["sample"])], **(coords or {})}
        # Of several axes at once: (dims, names).
        several = {
            name: value
            for name, value in names.items()
            if name not in dims and isinstance(value, tuple) and isinstance(value[0], tuple)
        }
        known = {dim: list(names[dim]) for dim in dims if dim in names}
        for dim, labels in known.items():
            if len(labels) != sizes[dim]:
                raise ValueError(
                    f"Expected {sizes[dim]} names along axis {dim!r} (got {len(labels)})"
                )
        attrs: dict[str, Any] = {
            "format": FORMAT,
            "method": method,
            "method_label": label or method,
            "layer": layer,
            "utility": utility,
            "settings": json.dumps(settings or {}),
            "skeleton": json.dumps(skeleton.to_dict()) if skeleton else "",
            "dtype": dtype or str(array.dtype),
            "hargcn": version("hargcn"),
            "torch": version("torch").split("+")[0],
        }
        attrs |= {} if frames is None else {"frames": frames}
        attrs |= {"classes": json.dumps(list(names["class"]))} if "class" in names else {}
        return cls(dataset.assign_coords({**known, **several}).assign_attrs(attrs))

    @property
    def values(self) -> xr.DataArray:
        """The attributions, signed and unscaled."""
        return self.dataset["attribution"]

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the attributions' axes."""
        return tuple(str(dim) for dim in self.values.dims)

    target = _stored("target", "(sample,) index of the class explained.")
    score = _stored("score", "(sample,) the score explained, in units of `utility`.")
    predicted = _stored("predicted", "(sample,) index of the predicted class.")
    label = _stored("label", "(sample,) index of the true class.")
    versus = _stored("versus", "(sample,) index of the class instead of the one explained.")
    base_value = _stored("base_value", "(sample,) the background's mean score.")
    additivity_gap = _stored("additivity_gap", "(sample,) sum + base value - score.")
    relative_gap = _stored("relative_gap", "(sample,) the gap relative to |score - base value|.")
    standard_error = _stored("standard_error", "Over the background, shaped like `values`.")

    method = _attribute("method", "Name of the method.")
    layer = _attribute("layer", 'Name of the explained layer, "" for the input.')
    utility = _attribute("utility", "The score: logit, prob, logprob, rest; or value, of numbers.")

    @property
    def settings(self) -> dict[str, Any]:
        """The method's settings."""
        return json.loads(self.dataset.attrs["settings"])

    @property
    def skeleton(self) -> Skeleton | None:
        """The key-point layout, where known."""
        text = self.dataset.attrs.get("skeleton", "")
        return Skeleton.from_dict(json.loads(text), "explanation") if text else None

    @property
    def asked(self) -> np.ndarray:
        """(sample, 2) class explained and the one instead of which, -1 where there is none."""
        target = self.target.to_numpy()
        versus = self.dataset["versus"] if "versus" in self.dataset else np.full_like(target, -1)
        return np.stack([target, versus], axis=1)

    @property
    def name(self) -> str:
        """Method and layer in one short label for tables and pictures."""
        return f"{self.method} {self.layer}".strip()

    @property
    def title(self) -> str:
        """Method, as papers print it, and layer: the name in pictures."""
        return f"{self.dataset.attrs.get('method_label', self.method)} {self.layer}".strip()

    def __len__(self) -> int:
        return self.values.sizes["sample"]

    def expect_axes(self, who: str, known: Sequence[str] = DIMS) -> None:
        """Refuse axes that a consumer does not understand.

        Parameters
        ----------
        who
            The consumer, as the message says it.
        known
            The axes it understands. Axes that nobody named ("axis1") are not looked at.

        Raises
        ------
        ValueError
            Names the consumer, the axes it understands and the first other one.
        """
        _expect(self.dims, known, who)

    def joint_scores(self) -> xr.DataArray:
        """Return (sample, joint) scores: the signed mean over every other axis of `DIMS`."""
        self.expect_axes("joint scores")
        return self.values.mean([d for d in self.dims if d not in ("sample", "joint")])

    def mean(self, *dims: str) -> Explanation:
        """Average the attributions over some axes."""
        return self._reduced(self.values.mean(dims))

    def sum(self, *dims: str) -> Explanation:
        """Add the attributions up over some axes."""
        return self._reduced(self.values.sum(dims))

    def sel(self, **labels: Any) -> Explanation:
        """Select by name, e.g. `sel(joint="left_wrist")`; a single name drops its axis."""
        return Explanation(self.dataset.sel(_listed(labels)))

    def isel(self, **positions: Any) -> Explanation:
        """Select by position along axes; a single position drops its axis."""
        return Explanation(self.dataset.isel(_listed(positions)))

    def bin(self, *, time: int) -> Explanation:
        """Add up every so many neighbouring cells of time, so that what adds up still does.

        The `time` of a bin is the centre of its cells; the last one takes the cells that are left.

        Parameters
        ----------
        time
            Cells per bin, from 1 on.

        Raises
        ------
        ValueError
            For fewer, and for an explanation without an axis of time.
        """
        if "time" not in self.dims:
            raise ValueError(f"bin: expected an axis 'time' (got {', '.join(self.dims)})")
        if time < 1:
            raise ValueError(f"bin: expected at least 1 cell of time per bin (got {time})")
        values, cells = self.values, self.values.sizes["time"]
        starts = np.arange(0, cells, time)
        last = np.minimum(starts + time, cells) - 1
        own = values["time"].to_numpy().astype(float)
        added = np.add.reduceat(values.to_numpy(), starts, axis=values.dims.index("time"))
        binned = values.isel(time=starts).copy(data=added)
        return self._reduced(binned.assign_coords(time=(own[starts] + own[last]) / 2))

    def upsample(self, frames: int | None = None) -> Explanation:
        """Bring a coarse map to input frames by linear interpolation between its cells' centres.

        Parameters
        ----------
        frames
            Frames of the window; by default those the explanation was made from.
        """
        frames = int(self.dataset.attrs["frames"]) if frames is None else frames
        values = self.values
        if values.sizes["time"] == 1:
            wide = values.isel(time=np.zeros(frames, int)).assign_coords(time=np.arange(frames))
        else:
            start, end = (float(values.time[i]) for i in (0, -1))
            inside = np.clip(np.arange(frames), start, end)
            wide = values.interp(time=inside).assign_coords(time=np.arange(frames))
        return self._reduced(wide.astype(values.dtype))

    def assign(
        self,
        variables: Mapping[str, Any] | None = None,
        coords: Mapping[str, Any] | None = None,
        **attrs: Any,
    ) -> Explanation:
        """Return a copy with more variables ((sample,) arrays), axis names or attributes."""
        wrapped = {
            name: value if isinstance(value, tuple) else (("sample",), _numpy(value))
            for name, value in (variables or {}).items()
        }
        dataset = self.dataset.assign(wrapped).assign_coords(dict(coords or {}))
        return Explanation(dataset.assign_attrs(attrs))

    def _reduced(self, values: xr.DataArray) -> Explanation:
        rest = self.dataset.drop_vars(["attribution", "standard_error"], errors="ignore")
        gone = [dim for dim in rest.dims if dim in self.dims and dim not in values.dims]
        changed = [dim for dim in values.dims if values.sizes[dim] != rest.sizes.get(dim)]
        rest = rest.drop_dims([dim for dim in {*gone, *changed} if dim in rest.dims])
        return Explanation(rest.assign(attribution=values))

    def save(self, path: str | Path) -> None:
        """Write an HDF5 file that `xarray.open_dataset(path, engine="h5netcdf")` and h5py open."""
        arrays = {
            str(name): {**hdf5.FILTERS, "chunksizes": hdf5.chunks(variable.shape, 8)}
            for name, variable in self.dataset.variables.items()
            if variable.dtype.kind in "fiub" and variable.ndim > 1
        }
        with replacing(path) as temporary:
            with hdf5.writing(temporary) as sink:
                store = H5NetCDFStore.open(sink, "w", driver_kwds={"libver": hdf5.LIBVER})
                with closing(store):
                    self.dataset.dump_to_store(store, encoding=arrays)
            hdf5.seal(temporary)

    @classmethod
    def open(cls, path: str | Path, samples: Any = slice(None)) -> Explanation:
        """Read an explanation file.

        Parameters
        ----------
        path
            The file, or its URL.
        samples
            Numbers of samples, a slice or a mask: of others nothing is read but small columns.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no explanation file, or a damaged one; names the file and what was found.
        """
        with (
            hdf5.checked(path, WHAT, FORMAT, "explain"),
            remote.source(path) as source,
            xr.open_dataset(source, engine="h5netcdf") as stored,
        ):
            loaded = stored.isel(sample=samples, missing_dims="ignore").load()
        del loaded.attrs["digest"]
        dataset = loaded.drop_encoding()  # or its string lengths cut longer names of other shards
        _check(path, dataset)
        return cls(dataset)

    @staticmethod
    def concat(parts: Sequence[Explanation]) -> Explanation:
        """Join explanations of different samples (shards of one run)."""
        joined = xr.concat(
            [part.dataset for part in parts], dim="sample", data_vars="minimal", coords="minimal",
            compat="override", join="exact", combine_attrs="override",
        )  # fmt: skip
        return Explanation(joined)

    def to_dataframe(self) -> pd.DataFrame:
        """Return a long table: a row per attribution.

        Returns
        -------
        pandas.DataFrame
            A column per axis, in their order, with the names along it (places, where it has none;
            of `time` the centre frame of the cell), `attribution`, and a column for every variable
            or coordinate of samples alone, repeated: `target` and `score`; where known `predicted`,
            `label`, `base_value`, `additivity_gap`, `relative_gap`, `fps`, `group` and the like.
        """
        alone = [
            name for name, each in self.dataset.variables.items()
            if each.dims == ("sample",) and name != "sample"
        ]  # fmt: skip
        values = self.values.reset_coords(drop=True)
        columns = {str(name): self.dataset[name].reset_coords(drop=True) for name in alone}
        sizes = np.prod(values.shape[1:], dtype=int)
        frame = values.to_dataframe(name="attribution").reset_index()
        return frame.assign(**{k: np.repeat(v.to_numpy(), sizes) for k, v in columns.items()})

    def to_pyg(self, sample: str | int, x: Any = None) -> torch_geometric.explain.Explanation:
        """Return one sample as PyG's explanation, masks over joints or edges.

        See `hargcn.explainers.geometric.explanation_graph`.

        Parameters
        ----------
        sample
            Its name or number.
        x
            (joint, feature) of the sample's input, as `MessagePassingView.nodes` lays it out; by
            default its stored positions.
        """
        # A higher floor, asked by name and late: what reads explanations must not import torch.
        return import_module("hargcn.explainers.geometric").explanation_graph(self, sample, x)

    def _repr_html_(self) -> str:
        # Of a higher floor, too.
        return import_module("hargcn.report.notebook").summary(self)

    def to_shap(self) -> shap.Explanation:
        """Return a shap.Explanation that shap's own plots (bar, waterfall, beeswarm ...) accept.

        `values` are (sample, joint) sums, `base_values` (sample,) the base value, `feature_names`
        the joints; without an axis of joints every cell is a feature, named by its place. `data` is
        None, for a joint has no one value; plots that colour by it are grey. Sums add up to score -
        base value, as shap's plots expect; without a base value the explanation makes no such
        promise and is refused.
        """
        import shap

        self.expect_axes("to_shap")
        base = self.base_value.to_numpy()
        kept = ["joint"] if "joint" in self.dims else [d for d in self.dims if d != "sample"]
        sums = self.values.sum([d for d in self.dims if d not in ("sample", *kept)])
        known = [
            [str(name) if dim in sums.coords else f"{dim} {name}" for name in sums[dim].to_numpy()]
            for dim in kept
        ]
        flat = sums.to_numpy().reshape(len(self), -1)
        names = [" ".join(each) for each in product(*known)]
        return shap.Explanation(values=flat, base_values=base, feature_names=names)


def titles(explanations: Mapping[str, Explanation]) -> dict[str, str]:
    """Return what pictures call explanations: their title, or the name somebody gave them."""
    return {key: each.title if key == each.name else key for key, each in explanations.items()}


def _numpy(values: Any) -> np.ndarray:
    """Return a NumPy array of an array or a tensor, without importing torch."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _expect(dims: Sequence[str], known: Sequence[str], who: str) -> None:
    for dim in dims:
        if dim not in known and not _FOREIGN.fullmatch(dim):
            raise ValueError(f"{who}: expected axes {', '.join(known)} (got {dim!r})")


def _listed(selection: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the sample axis when a single sample is selected: every explanation has one."""
    if isinstance(selection.get("sample"), str | int | np.integer):
        return {**selection, "sample": [selection["sample"]]}
    return dict(selection)


def _check(path: str | Path, dataset: xr.Dataset) -> None:
    lost = [name for name in _VARIABLES if name not in dataset]
    lost += [name for name in _ATTRIBUTES if name not in dataset.attrs]
    if lost:
        raise ValueError(f"{path}: expected an explanation with {', '.join(lost)} (it has none)")
    hdf5.expect_said(path, dataset.attrs, _FORMS)
    if text := dataset.attrs["skeleton"]:
        joints = Skeleton.from_dict(json.loads(text), f"{path}: skeleton").n_joints
        if (got := dataset.sizes.get("joint", joints)) != joints:
            raise ValueError(f"{path}: expected {joints} joints, as its skeleton has (got {got})")
    values = dataset["attribution"].to_numpy()
    if not len(values):
        raise ValueError(f"{path}: expected explanations of at least one sample (got none)")
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        first = int(finite.argmin())
        named = dataset["sample"][first].item() if "sample" in dataset.coords else first
        raise ValueError(f"{path}: expected finite attributions (got NaN or infinity in {named})")
