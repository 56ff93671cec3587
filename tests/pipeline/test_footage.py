"""Attributions on the frames of a video: the drawn joint lies on the dot that moves with it."""

from __future__ import annotations

import struct
import sys
from dataclasses import replace

import numpy as np
import pytest
from fixtures.command_line import done, refused
from fixtures.fake_explanations import explanation
from fixtures.footage import SIZE, dot_at, filmed
from PIL import Image

from hargcn import Explanation
from hargcn.data.footage import Footage
from hargcn.pipeline.footage import Source, draw_footage
from hargcn.pipeline.pictures import show
from hargcn.plots import footage as drawing
from hargcn.skeleton import skeleton

pytestmark = pytest.mark.slow

LAYOUT = skeleton("inmotion19")
WRIST = LAYOUT.index("left_wrist")
FRAMES = 24


def recorded(path, frames=FRAMES, lost=()):
    """Write key points in pixels: the left wrist is the dot, the others stay in the middle."""
    points = np.full((frames, LAYOUT.n_joints, 2), (80.0, 48.0))
    points += np.arange(LAYOUT.n_joints)[:, None]
    points[:, WRIST] = [dot_at(frame) for frame in range(frames)]
    points[list(lost), WRIST] = np.nan
    header = ",".join(f"{joint}_{axis}" for joint in LAYOUT.joints for axis in "xy")
    rows = [",".join("" if np.isnan(v) else f"{v:g}" for v in row.ravel()) for row in points]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def explained(path, seconds, state=1, sample="clip@4"):
    """Explain one window of `clip`: the wrist is for, the head against."""
    count = len(seconds)
    values = np.zeros((1, count, LAYOUT.n_joints, 1))
    values[:, :, WRIST], values[:, :, 0] = 1.0, -0.5
    dims = ("sample", "time", "joint", "person")
    states = np.broadcast_to(state, (count,))[None, :, None, None]
    made = explanation(values, dims, frames=count, skeleton=LAYOUT, sample=[sample]).assign(
        {
            "recording": np.array([sample.partition("@")[0]]),
            "seconds": (("sample", "frame"), np.asarray(seconds)[None]),
            "state": (dims[:1] + ("frame", "joint", "person"), np.tile(states, (1, 1, 19, 1))),
            # As a network sees it: centred and scaled, nothing that could be drawn on a video.
            "positions": (
                ("sample", "space", "frame", "joint", "person"),
                np.random.default_rng(0).normal(size=(1, 2, count, 19, 1)),
            ),
        }
    )
    made.save(path)
    return path


OPTIONS = ("reader.layout=inmotion19", "reader.fps=30")


@pytest.fixture
def files(tmp_path):
    video, points = filmed(tmp_path / "clip.mp4", FRAMES), recorded(tmp_path / "clip.csv")
    file = explained(tmp_path / "e.h5", np.arange(4, 16) / 30)
    return file, Source(video, points, "keypoints", OPTIONS)


def drawn(monkeypatch, file, source, out="x.png", frames=None):
    """Draw, and return the scene and the pictures that were drawn, by frame."""
    found = {}

    def caught(shown, images, **_):
        found.update(shown=shown, images=dict(images))
        return original(shown, found["images"])

    original = drawing.plot_footage
    monkeypatch.setattr("hargcn.pipeline.footage.plot_footage", caught)
    draw_footage(Explanation.open(file), "clip@4", source, file.with_name(out), frames)
    return found["shown"], found["images"]


def brightest(image):
    """Return the middle of the dot in a picture."""
    y, x = np.nonzero(image.mean(axis=2) > 128)
    return x.mean(), y.mean()


def test_the_drawn_joint_lies_on_the_dot(monkeypatch, files):
    shown, images = drawn(monkeypatch, *files, frames=[0, 3, 11])
    assert list(images) == [0, 3, 11]
    for frame, image in images.items():
        assert image.shape == (SIZE[1], SIZE[0], 3)
        joint = shown.points[:, frame, WRIST, 0]
        assert joint.tolist() == list(dot_at(4 + frame))
        np.testing.assert_allclose(brightest(image), joint, atol=1)


def test_a_resampled_window_is_drawn_on_the_frames_of_its_time(monkeypatch, files):
    """Every 1.5th frame from the fourth on: the joint and the picture are of the nearest."""
    explained(files[0], (4 + 1.5 * np.arange(8)) / 30)
    shown, images = drawn(monkeypatch, *files, frames=[0, 2, 4, 7])
    for frame, image in images.items():
        np.testing.assert_allclose(brightest(image), shown.points[:, frame, WRIST, 0], atol=1)
    assert shown.points[0, 4, WRIST, 0] == dot_at(10)[0]


def test_a_recording_that_begins_later_in_its_video(monkeypatch, files, tmp_path):
    points = recorded(tmp_path / "clip.csv")
    text = points.read_text("utf-8").splitlines()
    points.write_text("\n".join([text[0], *text[7:]]) + "\n", encoding="utf-8")  # six cut off
    explained(files[0], np.arange(4, 12) / 30)
    late = replace(files[1], start=0.2)
    shown, images = drawn(monkeypatch, files[0], late, frames=[0, 7])
    for frame, image in images.items():
        assert shown.points[0, frame, WRIST, 0] == dot_at(10 + frame)[0]
        np.testing.assert_allclose(brightest(image), shown.points[:, frame, WRIST, 0], atol=1)
    with pytest.warns(UserWarning, match=r"clip\.mp4: has 24 frames and clip 18: the recording is"):
        drawn(monkeypatch, *files, frames=[0])


def test_what_was_interpolated_lies_between_its_sights_and_is_hollow(monkeypatch, files, tmp_path):
    recorded(tmp_path / "clip.csv", lost=(7, 8))
    explained(files[0], np.arange(4, 16) / 30, state=[1, 1, 1, 2, 2, *[1] * 6, 0])
    shown, _ = drawn(monkeypatch, *files, frames=[3, 11])
    assert shown.points[:, 3, WRIST, 0].tolist() == list(dot_at(7))
    assert shown.guessed[3].all()
    assert np.isnan(shown.points[:, 11]).all()  # absent


def test_a_strip_shows_the_frames_of_the_video(files, tmp_path):
    out = tmp_path / "strip.png"
    file, source = files
    done(
        "show", file, "--video", source.video, "--points", source.points, "--format", "keypoints",
        "--set", OPTIONS[0], "--set", OPTIONS[1], "--frames", "0,6", "--out", out,
    )  # fmt: skip
    with Image.open(out) as picture:
        dark = np.asarray(picture.convert("L")) < 30
    assert dark.mean() > 0.3  # the film is black


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_clip_shows_every_frame_at_the_speed_of_the_recording(files, tmp_path, suffix):
    out = tmp_path / f"clip_out{suffix}"
    file, source = files
    show(file, out, footage=source, progress=False)
    if suffix == ".gif":
        with Image.open(out) as clip:
            assert clip.n_frames == 12
            first = np.asarray(clip.convert("RGB"))
    else:
        made = Footage.open(out)
        assert made.frames == 12
        assert made.fps == pytest.approx(30, abs=0.01)
        first = next(made.images([0]))
    red = (first[..., 0].astype(int) - first[..., 2] > 60).sum()
    assert red > 20  # the wrist is for the class


def test_the_legend_of_a_clip_is_about_all_its_frames(monkeypatch, files, tmp_path):
    file = explained(files[0], np.arange(4, 16) / 30, state=[1] * 11 + [2])
    made = []
    original = drawing.canvas
    monkeypatch.setattr(drawing, "canvas", lambda *a: made.append(original(*a)) or made[-1])
    show(file, tmp_path / "c.gif", footage=files[1], progress=False)
    texts = [text.get_text() for text in made[0][1][0].get_legend().get_texts()]
    assert texts == ["L, R: the person's own left and right", "interpolated: nobody saw the joint"]


def test_padded_frames_past_the_recordings_end_have_no_picture(files, tmp_path):
    explained(files[0], np.arange(18, 30) / 30)
    file, source = files
    show(file, tmp_path / "c.gif", footage=source, progress=False)
    with Image.open(tmp_path / "c.gif") as clip:
        assert clip.n_frames == 6
    with pytest.raises(ValueError, match=r"expected frames up to 5, .* recording ends \(got 9\)"):
        show(file, tmp_path / "c.png", footage=source, frames=[1, 9])


def test_what_does_not_belong_together_is_refused(files, tmp_path):
    file, source = files

    def said(**changes):
        changed = replace(source, **changes)
        with pytest.raises((ValueError, FileNotFoundError)) as error:
            show(file, tmp_path / "x.png", footage=changed, frames=[0, 11])
        assert "\n" not in str(error.value)
        return str(error.value)

    slow = filmed(tmp_path / "slow.mp4", FRAMES, fps=25)
    assert "slow.mp4: expected a video of 30 frames per second, as clip has (got 25)" in said(
        video=slow
    )
    short = filmed(tmp_path / "short.mp4", 9)
    assert "short.mp4: expected a video of at least 16 frames" in said(video=short)
    assert "(got 9)" in said(video=short)
    other = recorded(tmp_path / "clap.csv")
    wrong = said(points=other)
    assert "clap.csv: expected the window's recording 'clip' (got clap" in wrong
    assert "clip.csv: expected a video (" in said(video=source.points)
    assert "none.mp4: no such file" in said(video=tmp_path / "none.mp4")
    assert "expected options of the reader" in said(changes=("fps=30",))
    assert "unknown key 'fpss'; did you mean 'fps'" in said(changes=("reader.fpss=30",))
    text = (tmp_path / "clip.csv").read_text("utf-8").splitlines()
    for factor, expected in (
        (1000, r"of them outside): another video?"),
        (0.005, "--set reader.size"),
    ):
        rows = [",".join(f"{float(v) * factor:g}" for v in row.split(",")) for row in text[1:]]
        (tmp_path / "clip.csv").write_text("\n".join([text[0], *rows]) + "\n", encoding="utf-8")
        assert expected in said()
    assert not list(tmp_path.glob("x.png"))


def test_joints_of_another_layout_or_in_space_are_refused(files, tmp_path):
    file, source = files
    found = Explanation.open(file)
    other = found.dataset.assign_attrs(
        skeleton=found.dataset.attrs["skeleton"].replace("left_wrist", "left_paw")
    )
    Explanation(other).save(tmp_path / "o.h5")
    with pytest.raises(ValueError, match=r"clip\.csv: expected the joints of inmotion19 in pixels"):
        show(tmp_path / "o.h5", tmp_path / "x.png", footage=source)


def test_without_pyav_one_line_says_what_to_install(monkeypatch, files, tmp_path):
    file, source = files
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        ValueError, match=r"clip\.mp4: expected PyAV .*pip install 'hargcn\[video\]'"
    ):
        show(file, tmp_path / "x.png", footage=source)


def test_the_commands_arguments_belong_together(files, tmp_path):
    file, source = files
    alone = refused("show", file, "--video", source.video, "--out", tmp_path / "x.png")
    assert "expected --video and --points together" in alone
    both = ("show", file, "--video", source.video, "--points", source.points, "--set", OPTIONS[0])
    wrong = refused(*both, "--set", OPTIONS[1], "--heatmap", "--out", tmp_path / "x.png")
    assert "x.png: expected a picture .png or .svg of a heatmap (got a video)" in wrong
    wrong = refused(*both, "--set", OPTIONS[1], "--out", tmp_path / "x.avi")
    assert "x.avi: expected a picture .png, .svg or .pdf, or a clip .gif, .webp or .mp4" in wrong
    before = source.points.read_bytes()
    wrong = refused(*both, "--set", OPTIONS[1], "--out", source.points)
    assert "expected another file to write than an input" in wrong
    assert source.points.read_bytes() == before


def test_a_phones_video_stands_upright(tmp_path):
    """The container says how to turn it: the usual matrix of a phone held upright, clockwise."""
    film = filmed(tmp_path / "p.mp4", 3)
    (lying,) = Footage.open(film).images([2])
    content = bytearray(film.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40  # ISO 14496-12, 8.3.2, version 0
    turned = (0, 1, 0, -1, 0, 0, SIZE[1], 0)  # 16.16; the last number stays
    content[matrix : matrix + 32] = struct.pack(">8i", *(number << 16 for number in turned))
    film.write_bytes(content)
    (upright,) = Footage.open(film).images([2])
    assert upright.shape == (SIZE[0], SIZE[1], 3)
    x, y = brightest(lying)
    np.testing.assert_allclose(brightest(upright), (SIZE[1] - 1 - y, x), atol=0.1)
