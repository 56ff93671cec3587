"""Augmentation: what must stay, what must change, and that seeds decide."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hargcn.skeleton import skeleton
from hargcn.training.augment import (
    Augment,
    AugmentConfig,
    crop,
    jitter,
    mirror,
    rotate,
    scale,
    shift,
)

NONE = {"rotation": 0, "tilt": 0, "scaling": 0, "noise": 0, "crop": 1}
CLASSES = ("swipe left", "swipe right", "squat")


def batch(
    layout: str = "kinect20", n: int = 6, frames: int = 20
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Make two persons: the second comes late, every sample ends earlier than the last."""
    body = skeleton(layout)
    draw = torch.Generator().manual_seed(5)
    valid = torch.ones(n, frames, 2, dtype=torch.bool)
    valid[:, :4, 1] = False
    for i in range(n):
        valid[i, frames - i :] = False
    positions = torch.randn(n, body.ndim, frames, body.n_joints, 2, generator=draw)
    return positions * valid[:, None, :, None], valid, torch.arange(n) % len(CLASSES)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), layout=st.sampled_from(["kinect20", "inmotion19"]))
def test_absent_persons_and_padding_stay_exactly_zero(seed: int, layout: str) -> None:
    positions, valid, labels = batch(layout)
    config = AugmentConfig(noise_p=1, crop_p=1, mirror=0.5, mirror_labels="invariant")
    augment = Augment(config, skeleton(layout), CLASSES)
    changed, still_valid, _ = augment(positions, valid, labels, seeded(seed))
    absent = ~still_valid[:, None, :, None].expand_as(changed)
    assert (changed[absent] == 0).all()
    assert (changed[~absent] != 0).all()
    # The padding is as long as before, whatever stretch was kept.
    assert (still_valid.any(dim=2).sum(dim=1) == valid.any(dim=2).sum(dim=1)).all()


def test_equal_seeds_give_equal_results_and_others_do_not() -> None:
    augment = Augment(AugmentConfig(), skeleton("kinect20"), CLASSES)
    first, again, other = (augment(*batch(), seeded(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_shift_displaces_whole_windows_each_by_its_own_length() -> None:
    positions, valid, labels = batch(n=200)
    by = (shift(positions, seeded(), 0.4) - positions).flatten(2)
    torch.testing.assert_close(by, by[:, :, :1].expand_as(by))
    lengths = by[:, :, 0]
    assert -0.4 <= lengths.min() < -0.39
    assert 0.39 < lengths.max() <= 0.4
    assert len(lengths.unique()) > 590
    moved = (shift(positions, seeded(), 0.4, 0.5) != positions).flatten(1).any(1)
    assert 70 < moved.sum() < 130
    augment = Augment(AugmentConfig(**NONE, shift=0.4), skeleton("kinect20"), CLASSES)
    changed, *_ = augment(positions, valid, labels, seeded())
    torch.testing.assert_close(
        changed[valid[:, None, :, None].expand_as(changed)],
        shift(positions, seeded(), 0.4)[valid[:, None, :, None].expand_as(changed)],
    )


def test_the_callers_batch_and_the_global_generator_are_left_alone() -> None:
    positions, valid, labels = batch()
    kept = positions.clone(), valid.clone(), labels.clone()
    state = torch.random.get_rng_state()
    config = AugmentConfig(mirror=1, mirror_labels=(("swipe left", "swipe right"),))
    Augment(config, skeleton("kinect20"), CLASSES)(positions, valid, labels, seeded())
    assert all(torch.equal(a, b) for a, b in zip(kept, (positions, valid, labels), strict=True))
    assert torch.equal(state, torch.random.get_rng_state())


def test_no_strength_changes_nothing() -> None:
    positions, valid, labels = batch()
    augment = Augment(AugmentConfig(**NONE), skeleton("kinect20"), CLASSES)
    out = augment(positions, valid, labels, seeded())
    assert torch.equal(out[0], positions)
    assert torch.equal(out[1], valid)


@pytest.mark.parametrize("strength", ["rotation", "scaling", "noise", "crop"])
def test_probability_zero_changes_nothing(strength: str) -> None:
    positions, valid, labels = batch()
    config = AugmentConfig(**{**NONE, strength: 0.5, f"{strength}_p": 0})
    out, _, _ = Augment(config, skeleton("kinect20"), CLASSES)(positions, valid, labels, seeded())
    torch.testing.assert_close(out, positions)


@pytest.mark.parametrize("up", ["y", "-y", "z"])
def test_a_turn_about_the_vertical_keeps_heights_and_lengths(up: str) -> None:
    positions = batch()[0]
    turned = rotate(positions, seeded(), 90.0, up=up)
    height = {"y": 1, "-y": 1, "z": 2}[up]
    torch.testing.assert_close(turned[:, height], positions[:, height])
    torch.testing.assert_close(turned.norm(dim=1), positions.norm(dim=1))
    assert not torch.allclose(turned[:, 0], positions[:, 0])


def test_angles_of_2d_turns_fill_their_range() -> None:
    arrow = torch.zeros(400, 2, 1, 1, 1)
    arrow[:, 0] = 1
    turned = rotate(arrow, seeded(), 40.0, tilt=90.0).flatten(1)
    angles = torch.atan2(turned[:, 1], turned[:, 0]) * 180 / math.pi
    assert 38 < angles.max() <= 40.001
    assert -40.001 <= angles.min() < -38


def test_tilt_leans_the_body_by_no_more_than_asked() -> None:
    pole = torch.zeros(400, 3, 1, 1, 1)
    pole[:, 1] = 1
    leaning = torch.acos(rotate(pole, seeded(), 0.0, tilt=10.0).flatten(1)[:, 1]) * 180 / math.pi
    assert 8 < leaning.max() <= 10 * math.sqrt(2) + 0.1


def test_scaling_multiplies_each_sample_by_one_factor() -> None:
    positions, valid, _ = batch(n=20)
    ratio = scale(positions, seeded(), 0.2) / torch.where(positions == 0, 1.0, positions)
    present = valid[:, None, :, None].expand_as(ratio)
    factors = torch.stack([ratio[i][present[i]].mean() for i in range(20)])
    for i, factor in enumerate(factors):
        torch.testing.assert_close(ratio[i][present[i]], factor.expand(int(present[i].sum())))
    assert factors.unique().numel() == 20
    assert ((factors - 1).abs() <= 0.2).all()


def test_noise_has_the_asked_spread_and_probability() -> None:
    still = torch.zeros(200, 3, 10, 5, 1)
    noisy = jitter(still, seeded(), 0.05, 0.5)
    touched = noisy.flatten(1).any(dim=1)
    assert 60 < touched.sum() < 140
    assert noisy[touched].std().item() == pytest.approx(0.05, rel=0.02)


def test_cropping_a_straight_motion_keeps_it_straight_but_slows_it() -> None:
    frames = 30
    straight = torch.arange(float(frames))[None, None, :, None, None].expand(50, 2, -1, 4, 1)
    slowed, valid = crop(straight, torch.ones(50, frames, 1, dtype=torch.bool), seeded(), 0.5)
    step = slowed.diff(dim=2)
    torch.testing.assert_close(step, step[:, :, :1].expand_as(step), atol=1e-4, rtol=0)
    speed = step[:, 0, 0, 0, 0]
    assert 0.5 <= speed.min() < 0.55
    assert 0.95 < speed.max() <= 1
    assert valid.all()
    assert slowed.min() >= 0
    assert slowed.max() <= frames - 1


def test_cropping_does_not_blend_a_person_with_their_absence() -> None:
    positions, valid = torch.full((20, 2, 12, 3, 1), 5.0), torch.ones(20, 12, 1, dtype=torch.bool)
    valid[:, 4:6], valid[:, 10:] = False, False
    positions = positions * valid[:, None, :, None]
    moved, still_valid = crop(positions, valid, seeded(), 0.6)
    assert set(moved[still_valid[:, None, :, None].expand_as(moved)].tolist()) == {5.0}
    assert not still_valid[:, 10:].any()


def test_mirroring_twice_is_nothing_and_once_swaps_the_sides() -> None:
    positions, body = batch()[0], skeleton("kinect20")
    once = mirror(positions, body)
    assert torch.equal(mirror(once, body), positions)
    left, right = body.mirror[0]
    assert torch.equal(once[:, 0, :, left], -positions[:, 0, :, right])
    assert torch.equal(once[:, 1:, :, left], positions[:, 1:, :, right])


def test_mirroring_swaps_the_listed_classes_and_keeps_the_others() -> None:
    positions, valid, labels = batch()
    config = AugmentConfig(**NONE, mirror=1, mirror_labels=(("swipe left", "swipe right"),))
    out, _, swapped = Augment(config, skeleton("kinect20"), CLASSES)(
        positions, valid, labels, seeded()
    )
    assert swapped.tolist() == [1, 0, 2, 1, 0, 2]
    assert torch.equal(out, mirror(positions, skeleton("kinect20")))


def test_mirroring_some_changes_labels_of_exactly_those() -> None:
    positions, valid, _ = batch(n=12)
    labels = torch.zeros(12, dtype=torch.long)
    config = AugmentConfig(**NONE, mirror=0.5, mirror_labels=(("swipe left", "swipe right"),))
    out, _, swapped = Augment(config, skeleton("kinect20"), CLASSES)(
        positions, valid, labels, seeded()
    )
    touched = (out != positions).flatten(1).any(dim=1)
    assert touched.tolist() == (swapped == 1).tolist()
    assert 0 < touched.sum() < 12


def test_mirroring_without_a_word_on_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="mirror_labels with mirror > 0"):
        AugmentConfig(mirror=0.5)


@pytest.mark.parametrize(
    "pairs",
    [
        (("swipe left", "swipe up"),),
        (("swipe left", "swipe right"), ("swipe right", "squat")),
        (("squat", "squat"),),
    ],
)
def test_mirroring_unknown_or_repeated_classes_is_refused(pairs: tuple) -> None:
    config = AugmentConfig(mirror=0.5, mirror_labels=pairs)
    with pytest.raises(ValueError, match="each of the classes"):
        Augment(config, skeleton("kinect20"), CLASSES)
