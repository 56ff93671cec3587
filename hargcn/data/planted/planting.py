"""Planting: a known sign goes into one class of any recordings, decoys of it into all classes.

Where and when the classes differ is then known exactly (`Recording.truth`), and so is where a
movement is just as unusual but tells nothing (`Recording.distractor`).
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hargcn.checks import one_of
from hargcn.data.cutting import WindowConfig, cut, shown_fps
from hargcn.data.filters import runs
from hargcn.data.planted.signs import Change, Sign, apply_change, carried, mirrored
from hargcn.data.planted.signs import Kind as Movement
from hargcn.data.recording import Recording
from hargcn.outputs import Kind, Outputs
from hargcn.skeleton import Skeleton

_SHORTEST = 8  # frames of an interval: a sign needs a few to grow, to be there and to fade


class Decoy(BaseModel):
    """Another change than a sign, at another time: of its own joint, whatever the class.

    One that only some classes have is a shortcut: in windows that have it so, it gives the class
    away as the sign does, and elsewhere it tells nothing.

    Parameters
    ----------
    kind, size, frequency
        Those of the change; None for those of the sign, or the usual ones of another kind.
    both
        Whether the mirror limb is changed alike, at the same time.
    joint
        Where it happens; None for the sign's own joint.
    classes
        Recordings of these classes have it; None for all.
    chance
        Probability that one of these has it; None for `decoy_chance`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Movement | None = None
    size: float | None = Field(default=None, ge=0)
    frequency: float | None = Field(default=None, gt=0)
    both: bool = False
    joint: str | None = None
    classes: tuple[str, ...] | None = None
    chance: float | None = Field(default=None, gt=0, le=1)

    def of(self, sign: Sign) -> Sign:
        """Return what happens instead of the sign."""
        if self.kind not in (None, sign.kind):
            sign = Sign(kind=self.kind, joint=sign.joint)
        given = {"size": self.size, "frequency": self.frequency, "joint": self.joint}
        return sign.model_copy(update={k: v for k, v in given.items() if v is not None})


class PlantConfig(BaseModel):
    """What is planted.

    Parameters
    ----------
    kind
        What the outcomes are. Of a "regression" a sign's size is drawn, evenly between nothing and
        its own, for every output by itself, and so are those of its decoys; of "multi-label" every
        label is there or not, by itself.
    classes
        For each new class its sign, or None for a class without one. Of a "regression" the sign of
        each output, of "multi-label" the sign of each label, of "ordinal" that of each level.
    between
        Outcomes of a regression that stand for no sign, and for one of full size.
    distractors
        Number of decoys in every recording for each sign: changes of the sign's kind and size on
        joints of other limbs, whatever the class.
    distractor_joints
        Where decoys may happen; None for the joints that correspond to the sign's on the other
        limbs (for the right wrist: the left wrist and both ankles).
    rhythms
        For each of these factors, a decoy of every sign on the sign's own joint, at another time
        and with the sign's frequency times the factor, whatever the class. With one, neither the
        joint nor unusual movement of it gives the sign away. Signs must be tremors then.
    decoys
        More decoys of every sign, for signs of any kind: on its own joint, or on one that they
        name; in every class, or in some.
    decoy_chance
        Probability of each decoy. Where all of them are always there, a network may count changes
        and miss the decoys when they are left out; below 1 their number tells nothing.
    leave_out
        Plant all but the "sign", or all but the "decoys", with the same draws, classes and masks:
        what a network says of a window without its sign tells whether it heeds the sign.
    aliasing
        What to do where a window shows a tremor with fewer than two frames a swing, so that it
        looks slower than it is: "refuse" it, or "keep" it.
    share
        Length of a change as a share of the frames. The changes of a recording follow one another
        in random order with random pauses where all of them fit; where not they may coincide in
        time, but never on the same joints. 1 is the whole recording.
    clip
        How recordings are cut into clips, each of which gets its own class: the windows that a
        network will see. None leaves recordings whole; a window of a long one may then lie beside
        the sign.
    seed
        Seed of all choices; the recordings' names enter as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = "classes"
    classes: Mapping[str, Sign | None] = {"without": None, "with": Sign()}
    between: tuple[float, float] = (0.0, 1.0)
    distractors: int = Field(default=2, ge=0)
    distractor_joints: tuple[str, ...] | None = None
    rhythms: tuple[Annotated[float, Field(gt=0)], ...] = ()
    decoys: tuple[Decoy, ...] = ()
    decoy_chance: float = Field(default=1, gt=0, le=1)
    leave_out: Literal["nothing", "sign", "decoys"] = "nothing"
    aliasing: Literal["refuse", "keep"] = "refuse"
    share: float = Field(default=0.3, gt=0, le=1)
    clip: WindowConfig | None = None
    seed: int = 1234

    @field_validator("classes")
    @classmethod
    def _differ(
        cls, classes: Mapping[str, Sign | None], info: ValidationInfo
    ) -> Mapping[str, Sign | None]:
        signs = list(classes.values())
        if info.data.get("kind", "classes") in ("regression", "multi-label"):
            if not signs or None in signs:
                raise ValueError(f"Expected a sign for every output (got {dict(classes)})")
            return classes
        if len(signs) < 2 or any(sign in signs[:at] for at, sign in enumerate(signs)):
            raise ValueError(
                f"Expected at least two classes with different signs (got {dict(classes)})"
            )
        return classes

    @property
    def outputs(self) -> Outputs:
        """What the outcomes are."""
        return Outputs(self.kind, tuple(self.classes))

    @model_validator(mode="after")
    def _decoys_are_no_signs(self) -> PlantConfig:
        signs = [sign for sign in self.classes.values() if sign is not None]
        for sign in signs:
            if self.rhythms and sign.kind != "tremor":
                raise ValueError(f"Expected tremors only with rhythms (got a sign {sign.kind!r})")
            for decoy in self.own(sign):
                if not decoy.both and decoy.of(sign) in signs:
                    raise ValueError(
                        f"Expected rhythms and decoys that are no sign (got {decoy.of(sign)})"
                    )
        for name in [name for decoy in self.decoys for name in decoy.classes or ()]:
            if not self.outputs.listed:
                raise ValueError(f"Expected decoys of a {self.kind} without classes (got {name!r})")
            one_of("a class of plant.decoys", name, self.classes)
        return self

    def outcome(self, strong: np.ndarray) -> np.ndarray:
        """Return the outcomes of signs of some strengths, 0 to 1."""
        if self.kind != "regression":
            return strong
        low, high = self.between
        return low + (high - low) * strong

    def own(self, sign: Sign) -> list[Decoy]:
        """Return the decoys of a sign, distractors apart."""
        rhythms = [Decoy(frequency=sign.hertz * factor) for factor in self.rhythms]
        return [*rhythms, *self.decoys]

    def chances(self, label: int, decoys: int) -> np.ndarray:
        """Return the probability of each decoy of a recording: signs' own, then distractors'."""
        name = list(self.classes)[label]
        own = [each for sign in self.classes.values() if sign for each in self.own(sign)]
        usual = self.decoy_chance
        found = [
            (usual if each.chance is None else each.chance)
            * (each.classes is None or name in each.classes)
            for each in own
        ]
        return np.array(found + [usual] * (decoys - len(own)))


def plant(
    recordings: Iterable[Recording],
    config: PlantConfig,
    windows: WindowConfig | None = None,
    fps: float | None = None,
) -> Iterator[Recording]:
    """Plant signs and decoys.

    Classes are dealt in blocks that hold each class once, within every subject and original label:
    neither tells anything about the new class, and a subject's counts differ by as little as its
    labels allow. Within a block all recordings have their decoys on the same joints, so that these
    are equally frequent in all classes. Everything is drawn in the same way for every class, a
    sign's interval even where it stays empty. The person seen longest in one stretch carries all
    changes, within that stretch.

    Parameters
    ----------
    recordings
        Any recordings; with `clip` they must be free of NaN (preprocess them first).
    config
        What to plant.
    windows
        How they will be cut: resampled windows have fewer frames per second.
    fps
        Frames per second that they will be resampled to before.

    Yields
    ------
    Recording
        With `label` an index into `config.classes`, or `outcome`; `truth` and `distractor` (T, V)
        masks of the positions that a sign or a decoy reaches: its joint and all that hang on it, in
        its interval. (A difference over time such as branch V or A reaches up to 4 frames before.)
        The original label k is kept as the note `label_k` = 1; the note `planted` counts signs.

    Raises
    ------
    ValueError
        If a joint does not fit the skeleton, if no joint is left for the decoys, if a recording is
        too short, or if a tremor is too fast for the frames per second of a recording or window.
    """
    dealer = _Dealer(config)
    for recording in _clips(recordings, config):
        places = _places(recording.skeleton, config)
        label, at = dealer.deal(recording, places)
        if config.aliasing == "refuse":
            shown = recording.fps if windows is None else shown_fps(recording, windows)
            _expect_shown(recording, places, min(recording.fps, shown, fps or shown))
        yield _planted(recording, label, at, places, config)


def shuffle_labels(recordings: Iterable[Recording], seed: int = 1234) -> list[Recording]:
    """Return the recordings with their outcomes exchanged at random within every subject.

    A network trained on them cannot have learned the planted sign: what an explanation of it finds
    there, it did not learn from the network. The masks stay.
    """
    whole = list(recordings)
    rng = np.random.default_rng(seed)
    members: dict[str, list[int]] = defaultdict(list)
    for at, recording in enumerate(whole):
        members[recording.group].append(at)
    source_of = np.arange(len(whole))
    for positions in members.values():
        for to, source in zip(positions, rng.permutation(positions), strict=True):
            source_of[to] = source
    return [
        replace(one, label=whole[source].label, outcome=whole[source].outcome)
        for one, source in zip(whole, source_of, strict=True)
    ]


@dataclass(frozen=True)
class _Places:
    """For every class with a sign: the sign, its joint, and its decoys there and elsewhere."""

    sign: Sign
    joint: int
    own: tuple[tuple[Sign, tuple[int, ...]], ...]
    decoys: tuple[int, ...]


class _Dealer:
    """Deals classes and decoys' joints block by block."""

    def __init__(self, config: PlantConfig) -> None:
        self.config = config
        self.rng = np.random.default_rng(config.seed)
        self.blocks: dict[Hashable, list[tuple[int, list[list[int]]]]] = defaultdict(list)
        self.dealt: Counter[tuple[str, int]] = Counter()

    def deal(
        self, recording: Recording, places: Mapping[int, _Places]
    ) -> tuple[int, list[list[int]]]:
        """Return a recording's class and, for each sign, the joints of its decoys."""
        group = recording.group
        block = self.blocks[group, recording.label]
        if not block:
            joints = [
                self.rng.choice(p.decoys, self.config.distractors, replace=False).tolist()
                for p in places.values()
            ]
            # The class that the subject has fewest of comes first; chance decides between equals.
            order = self.rng.permutation(len(self.config.classes)).tolist()
            order.sort(key=lambda label: self.dealt[group, label])
            block += [(label, joints) for label in reversed(order)]
        label, joints = block.pop()
        self.dealt[group, label] += 1
        return label, joints


def _places(skeleton: Skeleton, config: PlantConfig) -> dict[int, _Places]:
    signs = {at: sign for at, sign in enumerate(config.classes.values()) if sign is not None}
    joints = {at: sign.joint_of(skeleton) for at, sign in signs.items()}
    own = {
        at: tuple(
            (changed, (joint, *([mirrored(skeleton, joint)] * decoy.both)))
            for decoy in config.own(sign)
            for changed in [decoy.of(sign)]
            for joint in [changed.joint_of(skeleton) if decoy.joint else joints[at]]
        )
        for at, sign in signs.items()
    }
    used = {*joints.values(), *(j for each in own.values() for _, js in each for j in js)}
    taken = {moved for joint in used for moved in carried(skeleton, joint)}
    places = {}
    for at, sign in signs.items():
        if config.distractor_joints is None:
            chosen = _counterparts(skeleton, joints[at])
        else:
            chosen = [
                Sign(kind=sign.kind, joint=name).joint_of(skeleton)
                for name in dict.fromkeys(config.distractor_joints)
            ]
        free = tuple(j for j in chosen if not taken & set(carried(skeleton, j)))
        if len(free) < config.distractors:
            raise ValueError(
                f"Expected {config.distractors} joints of {skeleton.name} for distractors of "
                f"{skeleton.joints[joints[at]]!r} that move no joint of a sign "
                f"(got {[skeleton.joints[j] for j in free]}); name some or ask for fewer"
            )
        places[at] = _Places(sign, joints[at], own[at], free)
    return places


def _counterparts(skeleton: Skeleton, joint: int) -> list[int]:
    """Return the joint as far along each of the other limbs (parts that have a mirror image)."""
    mirrored = {j for pair in skeleton.mirror for j in pair}

    def along(j: int, part: tuple[int, ...]) -> int:
        depth = 0
        while skeleton.parents[j] in part and skeleton.parents[j] != j:
            j, depth = skeleton.parents[j], depth + 1
        return depth

    own = next(part for part in skeleton.parts.values() if joint in part)
    limbs = [p for p in skeleton.parts.values() if p != own and mirrored.issuperset(p)]
    found = ([j for j in limb if along(j, limb) == along(joint, own)] for limb in limbs)
    return [joints[0] for joints in found if joints]


def _expect_shown(recording: Recording, places: Mapping[int, _Places], fps: float) -> None:
    """Refuse tremors that frames are too few for, whether or not chance plants them here."""
    signs = [sign for p in places.values() for sign in (p.sign, *(own for own, _ in p.own))]
    fastest = max((sign.hertz for sign in signs if sign.kind == "tremor"), default=0)
    if fastest >= fps / 2:
        raise ValueError(
            f"{recording.sample}: expected a tremor below half the {fps:g} frames per second that "
            f"a window shows (got {fastest:g} Hz, which would look slower; longer windows or "
            "plant.aliasing=keep)"
        )


def _planted(
    recording: Recording,
    label: int,
    decoys: list[list[int]],
    places: Mapping[int, _Places],
    config: PlantConfig,
) -> Recording:
    rng = np.random.default_rng([config.seed, zlib.crc32(recording.sample.encode())])
    person, stretch = _longest_stretch(recording)
    # One slot for the sign, whatever it is and even if there is none (one for each where several
    # may be there), then one for each decoy: first those on a sign's own joint.
    one = config.outputs.listed
    own = [places.get(label)] if one else [*places.values()]
    at = [each for p in places.values() for each in p.own]
    apart = len(own) + len(at)
    at += [(p.sign, (j,)) for p, js in zip(places.values(), decoys, strict=True) for j in js]
    frames = stretch.stop - stretch.start
    length = round(config.share * frames)
    if length < _SHORTEST or apart * length > frames:
        raise ValueError(
            f"{recording.sample}: expected frames for {len(own) + len(at)} changes of at least "
            f"{_SHORTEST} frames, {apart} of them one after the other (got {frames} frames of the "
            f"person seen longest, {length} for each)"
        )
    starts = _starts(rng, frames, length, apart, len(at) + len(own) - apart)
    slots = [
        {
            "start": int(start),
            "stop": int(start) + length,
            "fade_in": start > 0,
            "fade_out": start + length < frames,
            "phase": float(rng.uniform(0, 2 * np.pi)),
            "axis": tuple(rng.standard_normal(3).tolist()),
        }
        for start in starts
    ]
    chances = config.chances(label, len(at))
    strong = _strengths(recording.sample, config, len(own), chances)
    given = [(None, ()) if place is None else (place.sign, (place.joint,)) for place in own]
    made = [
        [Change(sign.times(strength), joint, **slot) for joint in joints if sign and strength > 0]
        for (sign, joints), strength, slot in zip([*given, *at], strong, slots, strict=True)
    ]
    truth, others = sum(made[: len(own)], []), sum(made[len(own) :], [])
    left_out = {"nothing": [], "sign": truth, "decoys": others}[config.leave_out]
    positions = recording.positions.copy()
    body = positions[:, stretch, :, person].astype(np.float64)
    for change in [*truth, *others]:
        if change not in left_out:
            body = apply_change(body, change, recording.skeleton, recording.fps)
    positions[:, stretch, :, person] = body
    notes = {"planted": len(truth)}
    if recording.label is not None:
        notes[f"label_{recording.label}"] = 1
    return replace(
        recording,
        positions=positions,
        label=label if one else None,
        outcome=None if one else config.outcome(strong[: len(own)]),
        truth=_mask(recording, stretch, truth),
        distractor=_mask(recording, stretch, others),
    ).noting(**notes)


def _strengths(sample: str, config: PlantConfig, signs: int, chances: np.ndarray) -> np.ndarray:
    """Draw how strong the signs are, and then the decoys: 1 is their full size."""
    strong = np.ones(signs + len(chances))
    rng = np.random.default_rng([config.seed, zlib.crc32(sample.encode()), signs])
    if config.kind == "regression":
        strong = rng.uniform(0, 1, len(strong))
    elif config.kind == "multi-label":
        strong[:signs] = rng.integers(0, 2, signs)
    if (chances < 1).any():
        strong[signs:] *= rng.uniform(0, 1, len(chances)) < chances
    return strong


def _mask(recording: Recording, stretch: slice, changes: list[Change]) -> np.ndarray:
    mask = np.zeros((recording.frames, recording.skeleton.n_joints), dtype=bool)
    for change in changes:
        mask[stretch] |= change.mask(recording.skeleton, stretch.stop - stretch.start)
    return mask


def _starts(
    rng: np.random.Generator, frames: int, length: int, apart: int, others: int
) -> np.ndarray:
    """Draw where intervals begin: one after the other in random order where all of them fit.

    Where not, the first `apart` still do, and the others begin anywhere.
    """
    if (apart + others) * length <= frames:
        apart, others = apart + others, 0
    pauses = np.sort(rng.integers(0, frames - apart * length + 1, apart))
    ordered = rng.permutation(pauses + length * np.arange(apart))
    return np.concatenate([ordered, rng.integers(0, frames - length + 1, others)])


def _longest_stretch(recording: Recording) -> tuple[int, slice]:
    stretches = (
        (run.stop - run.start, -person, run)
        for person in range(recording.persons)
        for run in runs(recording.valid[:, person])
    )
    _, person, run = max(stretches, key=lambda one: one[:2])
    return -person, run


def _clips(recordings: Iterable[Recording], config: PlantConfig) -> Iterator[Recording]:
    if config.clip is None:
        yield from recordings
        return
    for recording in recordings:
        for window in cut(recording, config.clip):
            yield replace(
                recording,
                sample=f"{recording.sample}@{window.start}",
                fps=window.fps,
                positions=window.arrays["positions"],
                valid=window.arrays["valid"],
                state=window.arrays["state"],
                confidence=window.arrays.get("confidence"),
                time=window.arrays["time"],
                truth=None,
                distractor=None,
            )
