"""Skeletons: the joints, bones, body parts and graph partitions of a key-point layout.

What differs between data sets is data: a `Skeleton`. The named layouts live in `layouts.yaml`;
a user's own layout is a YAML file of the same form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

from hargcn.checks import complete, nearest, plain_yaml, read_yaml, shortened

_MOST = 500  # joints: beyond any tracker's, and the checks take their square in time

Strategy = Literal["distance", "spatial"]
Normalised = Literal["columns", "symmetric"]


@dataclass(frozen=True)
class Skeleton:
    """A key-point layout: a tree of joints with its parts and mirror pairs.

    Parameters
    ----------
    name
        The layout's name; stored in every file.
    joints
        Joint names in the order of the data.
    parents
        For each joint the other end of its bone; the root of the bones is its own parent.
    edges
        Undirected edges of the graph as pairs of joint indices; they form a tree.
    parts
        Body parts by name; together they cover every joint exactly once.
    mirror
        Pairs (left, right) that swap when a body is mirrored.
    root
        The graph's centre, from which the spatial strategy measures distance.
    reference
        The joint that branch J subtracts.
    centre
        Joints whose mean is the middle of the pelvis.
    trunk
        Two groups of joints (lower, upper); the distance of their means is the trunk length. Both
        are empty in a layout without one; see `ends`.
    ndim
        2 or 3 coordinates.
    up
        The axis that points up: "y", "-y" (image coordinates) or "z".
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    parts: Mapping[str, tuple[int, ...]]
    mirror: tuple[tuple[int, int], ...]
    root: int
    reference: int
    centre: tuple[int, ...]
    trunk: tuple[tuple[int, ...], tuple[int, ...]]
    ndim: int
    up: str = "y"

    def __post_init__(self) -> None:
        defects = _defects(self)
        if defects:
            raise ValueError(f"skeleton {shortened(self.name)!r}: " + "; ".join(defects))

    def __hash__(self) -> int:
        return hash((self.name, self.joints, self.edges, self.parents))

    @property
    def n_joints(self) -> int:
        """The number of joints."""
        return len(self.joints)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Pairs (joint, parent) of every joint that has a bone."""
        return tuple((j, p) for j, p in enumerate(self.parents) if j != p)

    @property
    def ends(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The lower and the upper joints of the trunk, for whatever measures it.

        Raises
        ------
        ValueError
            If the layout has no trunk.
        """
        if not self.trunk[0]:
            raise ValueError(
                f"Expected a layout with a trunk, to centre, turn, scale or plant by it (skeleton "
                f"{self.name!r} has none): add `trunk: [[LOWER], [UPPER]]`, two lists of joints"
            )
        return self.trunk

    def index(self, joint: str) -> int:
        """Return a joint's position in the order of the data."""
        if joint not in self.joints:
            raise ValueError(
                f"Expected a joint of skeleton {self.name} (got {joint!r}"
                f"{nearest(joint, self.joints)})"
            )
        return self.joints.index(joint)

    def to_dict(self) -> dict[str, Any]:
        """Return the layout in the form of a `skeleton.yaml`, joints by name."""

        def named(indices: tuple[int, ...]) -> list[str]:
            return [self.joints[i] for i in indices]

        return {
            "name": self.name,
            "joints": list(self.joints),
            "parents": named(self.parents),
            "edges": [named(edge) for edge in self.edges],
            "parts": {part: named(joints) for part, joints in self.parts.items()},
            "mirror": [named(pair) for pair in self.mirror],
            "root": self.joints[self.root],
            "reference": self.joints[self.reference],
            "centre": named(self.centre),
            "trunk": [named(group) for group in self.trunk],
            "ndim": self.ndim,
            "up": self.up,
        }

    @classmethod
    def from_dict(cls, layout: Mapping[str, Any], source: str = "skeleton") -> Skeleton:
        """Build a skeleton from the form of a `skeleton.yaml`.

        Joints are given by name or by 0-based index. `parents` may be left out where the edges are
        written (child, parent); `root`, `reference` and `centre` default to the first joint; there
        is no trunk without `trunk`.

        Raises
        ------
        ValueError
            Names the source, and every defect of the layout at once.
        """
        _check_form(layout, source)
        try:
            return cls._built(layout)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error

    @classmethod
    def _built(cls, layout: Mapping[str, Any]) -> Skeleton:
        joints = tuple(str(joint) for joint in layout["joints"])

        def at(joint: str | int) -> int:
            if type(joint) is int and 0 <= joint < len(joints):
                return joint
            if joint not in joints:
                found = shortened(repr(joint))
                raise ValueError(f"{found} is no joint{nearest(str(joint), joints)}")
            return joints.index(str(joint))

        edges = tuple((at(a), at(b)) for a, b in layout["edges"])
        parents = list(range(len(joints)))
        for child, parent in edges:
            parents[child] = parent
        if "parents" in layout:
            parents = [at(joint) for joint in layout["parents"]]
        root = at(layout.get("root", 0))
        centre = tuple(at(j) for j in layout.get("centre", [root]))
        trunk = layout.get("trunk", [[], []])
        return cls(
            name=str(layout["name"]),
            joints=joints,
            parents=tuple(parents),
            edges=edges,
            parts={str(p): tuple(at(j) for j in js) for p, js in layout["parts"].items()},
            mirror=tuple((at(a), at(b)) for a, b in layout.get("mirror", [])),
            root=root,
            reference=at(layout.get("reference", root)),
            centre=centre,
            trunk=(tuple(at(j) for j in trunk[0]), tuple(at(j) for j in trunk[1])),
            ndim=int(layout["ndim"]),
            up=str(layout.get("up", "y")),
        )


def skeleton(name: str | Path) -> Skeleton:
    """Return the layout of that name, one of `names()`, or of a `skeleton.yaml`.

    Raises
    ------
    ValueError
        For an unknown name (with the nearest known one) or a layout with defects.
    FileNotFoundError
        For a path that does not exist.
    """
    text = str(name)
    if text in names():
        return Skeleton.from_dict(_layouts()[text], f"layout {text}")
    if not text.endswith((".yaml", ".yml")):
        raise ValueError(
            f"Expected a layout of {', '.join(names())} or a skeleton.yaml "
            f"(got {text!r}{nearest(text, names())})"
        )
    if not Path(name).is_file():
        raise FileNotFoundError(f"{name}: no such skeleton file")
    layout = read_yaml(name)
    complete(layout, str(name))
    return Skeleton.from_dict(layout, str(name))


def names() -> tuple[str, ...]:
    """Return the names of the layouts that come with hargcn."""
    return tuple(_layouts())


def partitions(
    skeleton: Skeleton,
    hops: int = 1,
    strategy: Strategy = "distance",
    reach: int | None = None,
    normalised: Normalised = "columns",
) -> np.ndarray:
    """Return the normalised adjacency of a skeleton's graph, split into partitions.

    Parameters
    ----------
    skeleton
        The layout.
    hops
        The largest distance (in edges) of two joints that see each other.
    strategy
        "distance": one partition per distance 0..hops. "spatial": per distance from 1 on the
        neighbours nearer to the root and those not nearer (Yan et al. 2018, ST-GCN, section 3.3);
        distance 0 is the first partition.
    reach
        The distance over which the adjacency A is normalised, by default `hops`; the published
        networks normalise over 3 and use the first partitions only.
    normalised
        By the degrees D that joints have within reach: "columns", A D^-1 (the code published with
        Tempel et al. 2024), or "symmetric", D^-1/2 A D^-1/2 (their equation 6).

    Returns
    -------
    numpy.ndarray
        (K, V, V) float32; where `reach` is `hops`, the "columns" of the sum over K add up to 1.
        K = hops + 1 for "distance", 2 * hops + 1 for "spatial".
    """
    import numpy as np

    reach = hops if reach is None else reach
    if not 0 <= hops <= reach:
        raise ValueError(f"Expected 0 <= hops <= reach (got hops {hops}, reach {reach})")
    distance = hop_distance(skeleton)
    within = distance <= reach
    degree = within.sum(axis=0)
    if normalised == "columns":
        adjacency = within / degree
    elif normalised == "symmetric":
        adjacency = within / np.sqrt(np.outer(degree, degree))
    else:
        raise ValueError(f"Expected normalised 'columns' or 'symmetric' (got {normalised!r})")
    by_hop = [np.where(distance == hop, adjacency, 0) for hop in range(hops + 1)]
    if strategy == "distance":
        return np.stack(by_hop).astype(np.float32)
    if strategy != "spatial":
        raise ValueError(f"Expected strategy 'distance' or 'spatial' (got {strategy!r})")
    depth = distance[:, skeleton.root]
    nearer = depth[:, None] < depth[None, :]
    kept = [by_hop[0]]
    for ring in by_hop[1:]:
        kept += [np.where(nearer, ring, 0), np.where(nearer, 0, ring)]
    return np.stack(kept).astype(np.float32)


def hop_distance(skeleton: Skeleton) -> np.ndarray:
    """Return the number of edges between every two joints, (V, V) int."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import shortest_path

    a, b = np.array(skeleton.edges).T
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(skeleton.n_joints,) * 2)
    return shortest_path(graph.tocsr(), directed=False, unweighted=True).astype(int)


@cache
def _layouts() -> dict[str, dict[str, Any]]:
    text = resources.files("hargcn").joinpath("layouts.yaml").read_text(encoding="utf-8")
    layouts = plain_yaml(text, "layouts.yaml")
    return {name: {"name": name, **layout} for name, layout in layouts.items()}


def _check_form(layout: Mapping[str, Any], source: str) -> None:
    """Refuse a layout without the keys of one, or with values of another form."""
    required = {"name", "joints", "edges", "parts", "ndim"}
    optional = {"parents", "mirror", "root", "reference", "centre", "trunk", "up"}
    if not isinstance(layout, Mapping):
        raise ValueError(f"{source}: expected a mapping with the keys {sorted(required)}")
    missing = required - set(layout)
    unknown = set(map(str, layout)) - required - optional
    if missing or unknown:
        raise ValueError(
            f"{source}: expected the keys {sorted(required)} and optionally {sorted(optional)} "
            f"(missing {sorted(missing)}, unknown {shortened(str(sorted(unknown)))})"
        )
    for key, (fits, form) in _FORMS.items():
        if key in layout and not fits(layout[key]):
            found = shortened(repr(layout[key]))
            raise ValueError(f"{source}: expected {form} as {key} (got {found})")


def _is_list(value: Any, most: int = _MOST) -> bool:
    return isinstance(value, list | tuple) and len(value) <= most


def _is_pairs(value: Any) -> bool:
    return _is_list(value) and all(_is_list(pair, 2) and len(pair) == 2 for pair in value)


def _is_ends(value: Any) -> bool:
    return _is_list(value, 2) and len(value) == 2 and all(map(_is_list, value))


def _is_lists(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) <= _MOST and all(map(_is_list, value.values()))


_FORMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("joints", "parents", "centre"), (_is_list, f"a list of up to {_MOST} joints")),
    **dict.fromkeys(("edges", "mirror"), (_is_pairs, f"a list of up to {_MOST} pairs of joints")),
    "trunk": (_is_ends, "two lists of joints"),
    "parts": (_is_lists, "lists of joints by name"),
    "ndim": (lambda value: isinstance(value, int), "a whole number"),
}


def _defects(s: Skeleton) -> list[str]:
    """List everything wrong with a layout."""
    n = len(s.joints)
    defects = []
    if bool(s.trunk[0]) != bool(s.trunk[1]):
        defects.append("a trunk has two ends, each of at least one joint")
    if repeated := sorted({joint for joint in s.joints if s.joints.count(joint) > 1}):
        defects.append(f"joint names must differ (got {shortened(str(repeated))} more than once)")
    if len(s.edges) != n - 1 or not _connected(n, s.edges):
        defects.append(
            f"the edges must form a tree over {n} joints: {n - 1} edges that reach every joint "
            f"(got {len(s.edges)})"
        )
    if len(s.parents) != n or not _rooted(s.parents):
        defects.append("parents must name one joint each and lead to a root without a cycle")
    covered = sorted(joint for part in s.parts.values() for joint in part)
    if covered != list(range(n)):
        lost = [s.joints[j] for j in range(n) if covered.count(j) != 1]
        defects.append(
            f"parts must cover every joint exactly once (not so: {shortened(str(lost))})"
        )
    if len({joint for pair in s.mirror for joint in pair}) != 2 * len(s.mirror):
        defects.append("a joint can stand in one mirror pair only")
    if s.ndim not in (2, 3):
        defects.append(f"ndim must be 2 or 3 (got {s.ndim})")
    if s.up not in ("y", "-y", "z"):
        defects.append(f"up must be y, -y or z (got {shortened(s.up)})")
    return defects


def _connected(n: int, edges: tuple[tuple[int, int], ...]) -> bool:
    reached, fresh = {0}, {0}
    while fresh:
        fresh = {b for e in edges for a, b in (e, e[::-1]) if a in fresh} - reached
        reached |= fresh
    return len(reached) == n


def _rooted(parents: tuple[int, ...]) -> bool:
    for joint in range(len(parents)):
        for _ in parents:
            joint = parents[joint]
        if parents[joint] != joint:
            return False
    return True
