"""A network that a function of the user's own makes: found, called, given its weights.

The function is the user's code and runs with the user's rights: it is imported when a network is
asked for, never before. Weights run no code.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hargcn.checks import nearest, shortened
from hargcn.data.preprocess import PreprocessConfig, named_chain
from hargcn.explainers.adapter import Adapter
from hargcn.files import digest
from hargcn.networks.checkpoint import expect_finite, fingerprint, misfits
from hargcn.networks.foreign import ForeignNetwork
from hargcn.networks.torch_file import is_stored, read_torch
from hargcn.skeleton import Skeleton
from hargcn.skeleton import skeleton as layout

if TYPE_CHECKING:
    from hargcn.data.windows import Windows

Axis = Literal["sample", "branch", "channel", "time", "joint", "person"]

_SEED = 1234  # of weights that no file gives
_LENGTH = 64  # frames of windows that nobody described
_from_users: set[str] = set()  # modules that the last factory brought along


class NetworkConfig(BaseModel):
    """A network of one's own, and what hargcn has to know about it.

    Parameters
    ----------
    factory
        The function that makes it, as `module:function`; the module is looked for beside this file,
        then in the working folder, then where Python looks. It returns a `torch.nn.Module`, also an
        `Adapter` or a network with the methods of `hargcn.explainers.ExplainableModel`.
    arguments
        Keyword arguments of the function.
    weights
        Safetensors, or a file that torch wrote, of which plain tensors are read; beside this file
        or in the working folder. None for the weights that the function gives.
    inside
        Key of the weights in a torch file that holds more than them, such as "state_dict"; dots
        lead deeper.
    prefix
        What the names of the weights begin with in that file and not in the network, such as
        "module."; others are left.
    skeleton
        The layout of its key points, by name or file; None for that of the windows.
    classes
        Its classes in the order of its outputs; none for those of the windows.
    input_dims
        The order in which it wants its input: sample, channel, time, joint, person, which is the
        default; person may be missing where there is one.
    branches
        Give it these of hargcn's branches J, V, B, A instead of positions, as an axis "branch"
        after "sample".
    frames
        Frames of the windows it learned from; None where nobody knows, as for the two below.
    fps
        Their frames per second.
    preprocessing
        How they were prepared: the name of a preset, or settings as in `prepare.preprocess`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    factory: str = Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$")
    arguments: Mapping[str, Any] = {}
    weights: Path | None = None
    inside: str | None = None
    prefix: str = ""
    skeleton: str | None = None
    classes: tuple[str, ...] = ()
    input_dims: tuple[Axis, ...] = ()
    branches: tuple[Literal["J", "V", "B", "A"], ...] = ()
    frames: int | None = Field(None, ge=1, le=10**6)
    fps: float | None = Field(None, gt=0, allow_inf_nan=False)
    preprocessing: PreprocessConfig | None = None

    @field_validator("preprocessing", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return named_chain(value)


def build_network(
    config: NetworkConfig, source: str | Path, windows: Windows | None = None
) -> ForeignNetwork:
    """Make the network that a file describes, in evaluation mode.

    A network without a file of weights gets the same random ones every time. Its card's `weights`
    is a digest of them, of the arguments and of the code of its modules and factory.

    Parameters
    ----------
    config
        What the file says.
    source
        The file: code and weights are looked for beside it.
    windows
        Say what the file leaves open: skeleton, classes, size of a window.

    Raises
    ------
    FileNotFoundError
        Without the weights.
    ValueError
        In one line, naming the file: no such module or function, whatever these raise, something
        else than a network, weights that do not fit, a skeleton or classes that nobody says, and
        what `ForeignNetwork` refuses.
    """
    source = Path(source)
    places = [source.resolve().parent, Path.cwd()]
    try:
        with _importable(places), torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            module, made = _made(config, places)
        if config.weights is not None:
            load_weights(made, config, _beside(config.weights, places))
        return _described(made, config, source, windows, _codes(module, made))
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"{source}: network: {error}") from error


def load_weights(network: nn.Module, config: NetworkConfig, path: Path) -> None:
    """Give a network the weights of a file; of an `Adapter`, the network inside.

    Raises
    ------
    ValueError
        Naming weights that are missing, unknown, of another shape or not finite, or the keys of a
        file that holds something else; says which setting may help.
    """
    network = network.model if isinstance(network, Adapter) else network
    weights = _without_prefix(_weights_in(path, config.inside), config.prefix, path)
    if lost := misfits(network.state_dict(), weights):
        first = {name.partition(".")[0] for name in weights}
        only = first.pop() if len(first) == 1 else ""
        hint = f"; all names begin with '{only}.': is that the `prefix`?" if only else ""
        raise ValueError(
            f"{path}: expected the weights of the network that {config.factory} makes ({lost})"
            f"{hint if not config.prefix else ''}"
        )
    expect_finite(weights)
    network.load_state_dict(weights)


def _described(
    made: nn.Module,
    config: NetworkConfig,
    source: Path,
    windows: Windows | None,
    codes: Sequence[str],
) -> ForeignNetwork:
    """Give a network what the file, it itself, and then the windows say of it."""
    skeleton = _skeleton(config, made, source)
    skeleton = skeleton or (None if windows is None else windows.skeleton)
    names: Any = getattr(made, "axis_names", {})
    classes = config.classes or tuple(names.get("class", ()))
    classes = classes or (() if windows is None else windows.classes)
    for value, what in ((skeleton, "skeleton"), (classes, "classes")):
        if not value:
            raise ValueError(f"expected `{what}`, or `windows` that have them (got neither)")
    assert skeleton is not None
    size = (0, _LENGTH, 0, 1) if windows is None else windows.shape
    shape = (skeleton.ndim, config.frames or size[1], skeleton.n_joints, size[3])
    said = {"arguments": config.arguments, "branches": config.branches, "codes": codes}
    known = config.model_dump(mode="json", include={"frames", "fps", "preprocessing"})
    return ForeignNetwork(
        made,
        skeleton,
        classes,
        shape,
        input_dims=config.input_dims,
        branches=config.branches,
        card={"factory": config.factory, "input": {"layout": skeleton.name, **known}},
        digest=fingerprint(made, json.dumps(said, default=str), str(config.input_dims))[:16],
    )


def _skeleton(config: NetworkConfig, made: nn.Module, source: Path) -> Skeleton | None:
    if config.skeleton is None:
        own = getattr(made, "skeleton", None)
        return own if isinstance(own, Skeleton) else None
    beside = source.parent / config.skeleton
    return layout(beside if beside.is_file() else config.skeleton)


@contextmanager
def _importable(places: Sequence[Path]) -> Iterator[None]:
    """Let modules be found in folders; those found there are read anew by the next factory."""
    for name in _from_users:
        sys.modules.pop(name, None)
    _from_users.clear()
    importlib.invalidate_caches()
    before = set(sys.modules)
    folders = [str(place) for place in places]
    sys.path[:0] = folders
    try:
        yield
    finally:
        for folder in folders:
            sys.path.remove(folder)
        own = {name for name in set(sys.modules) - before if _lies_in(name, places)}
        roots = {name.partition(".")[0] for name in own} - before
        _from_users.update(name for name in sys.modules if name.partition(".")[0] in roots)


def _lies_in(name: str, places: Sequence[Path]) -> bool:
    """Whether a loaded module is a file, or the package of a folder, in one of the folders."""
    file = getattr(sys.modules[name], "__file__", None)
    return file is not None and bool({*Path(file).resolve().parents[:2]} & {*places})


def _made(config: NetworkConfig, places: Sequence[Path]) -> tuple[ModuleType, nn.Module]:
    """Return the module of the factory, and what the factory made."""
    module, function = _found(config.factory, places)
    made = _ran(config.factory, lambda: function(**config.arguments))
    if not isinstance(made, nn.Module):
        raise ValueError(
            f"expected {config.factory} to return a torch.nn.Module (got a {type(made).__name__})"
        )
    return module, made


def _found(factory: str, places: Sequence[Path]) -> tuple[ModuleType, Callable[..., Any]]:
    """Return the module and the function of a name `module:function`."""
    name, _, function = factory.partition(":")
    root = name.partition(".")[0]
    found, loaded = PathFinder.find_spec(root, sys.path), sys.modules.get(root)
    if found is None and loaded is None:
        looked = ", ".join(dict.fromkeys(map(str, places)))
        raise ValueError(f"expected the module {root!r} in {looked} or on Python's path (got none)")
    there = getattr(loaded, "__file__", None)
    if found is not None and there is not None and found.origin not in (None, there):
        raise ValueError(
            f"expected another name than {root!r} for {found.origin}: {there} has it already"
        )
    module = _ran(f"importing {name}", lambda: importlib.import_module(name))
    made = getattr(module, function, None)
    if not callable(made):
        known = [key for key, value in vars(module).items() if callable(value)]
        raise ValueError(
            f"expected a function {function!r} in {module.__file__} (it has none"
            f"{nearest(function, known)})"
        )
    return module, made


def _ran(what: str, code: Callable[[], Any]) -> Any:
    """Run somebody's code; whatever it raises becomes a line."""
    try:
        return code()
    except (Exception, SystemExit) as error:
        said = shortened(" ".join(str(error).split()))
        raise ValueError(f"{what} raised {type(error).__name__}: {said}") from error


def _codes(module: ModuleType, network: nn.Module) -> list[str]:
    """Return digests of the files that a network's own code stands in."""
    files = set()
    owners: list[Any] = [module, *(type(each) for each in network.modules())]
    for owner in owners:
        name = owner.__name__ if owner is module else owner.__module__
        if name.partition(".")[0] not in ("torch", "hargcn"):
            with suppress(OSError, TypeError):  # no source: made while it ran
                files.add(inspect.getfile(owner))
    return sorted(map(digest, files))


def _beside(path: Path, places: Sequence[Path]) -> Path:
    """Return a file in the first of the folders that has it."""
    for place in places:
        if (place / path).is_file():
            return place / path
    looked = ", ".join(dict.fromkeys(map(str, places)))
    raise FileNotFoundError(f"{path}: no such file of weights (looked in {looked})")


def _weights_in(path: Path, inside: str | None) -> dict[str, Tensor]:
    """Return the tensors of a file by name."""
    if path.suffix == ".safetensors":
        if inside is not None:
            raise ValueError(f"{path}: expected `inside` of a torch file only (got {inside!r})")
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path}: expected safetensors ({error})") from error
    content = read_torch(path)
    for key in inside.split(".") if inside else ():
        if not (isinstance(content, Mapping) and key in content):
            raise ValueError(f"{path}: expected the key {key!r} inside ({_keys(content)})")
        content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{path}: expected weights by name (got a {type(content).__name__})")
    wrong = [k for k, v in content.items() if not (isinstance(k, str) and is_stored(v, path))]
    if wrong:
        raise ValueError(
            f"{path}: expected weights by name (got {shortened(repr(wrong[0]))}, which is no whole "
            f"tensor, {_keys(content)}); `inside` names the key that holds them"
        )
    return dict(content)


def _keys(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"it is a {type(content).__name__}"
    keys = list(map(str, content))
    return shortened(f"it has the keys {', '.join(keys[:6])}") + (", ..." if len(keys) > 6 else "")


def _without_prefix(weights: Mapping[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    found = {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }
    if not found:
        raise ValueError(
            f"{path}: expected weights whose names begin with {prefix!r} ({_keys(weights)})"
        )
    return found
