from __future__ import annotations

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from hargcn.plots.clips import CLIPS, is_clip, pixels, write_clip


def pictures(count=5, tall=33, wide=47):
    """Yield pictures whose grey says which they are."""
    for number in range(count):
        yield np.full((tall, wide, 3), 40 * number, dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_every_picture_is_shown_as_long_as_asked(tmp_path, suffix):
    path = tmp_path / "new" / f"clip{suffix.upper()}"
    write_clip(pictures(), path, fps=5)
    with Image.open(path) as clip:
        assert (clip.format, clip.n_frames) == (suffix[1:].upper(), 5)
        for number in range(5):
            clip.seek(number)
            clip.load()
            assert np.unique(np.asarray(clip.convert("RGB"))).tolist() == [40 * number]
            assert clip.info["duration"] == 200
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_film_holds_every_picture_of_even_sides(tmp_path):
    av = pytest.importorskip("av")
    write_clip(pictures(), tmp_path / "clip.mp4", fps=12.5)
    with av.open(str(tmp_path / "clip.mp4")) as film:
        assert float(film.streams.video[0].average_rate) == 12.5
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert [frame.shape for frame in frames] == [(32, 46, 3)] * 5
    np.testing.assert_allclose([f.mean() for f in frames], 40 * np.arange(5), atol=6)


def test_without_pyav_one_line_says_what_to_install_before_anything_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    unused = pictures()
    said = r"^.*clip\.mp4: expected PyAV .*pip install 'hargcn\[video\]'$"
    with pytest.raises(ValueError, match=said):
        write_clip(unused, tmp_path / "clip.mp4", 30)
    assert next(unused).max() == 0
    assert not list(tmp_path.iterdir())


def test_other_names_are_no_clips(tmp_path):
    assert [is_clip(f"x{end}") for end in (*CLIPS, ".MP4", ".png", "")] == [True] * 4 + [False] * 2
    with pytest.raises(ValueError, match=r"clip \.gif, \.webp or \.mp4 \(got '\.avi'\)"):
        write_clip(pictures(), tmp_path / "x.avi", 30)
    assert not list(tmp_path.iterdir())


def test_a_figure_is_drawn_at_its_own_size():
    figure = Figure((2, 1), dpi=50, facecolor="red")
    picture = pixels(figure)
    assert picture.shape == (50, 100, 3)
    assert picture[0, 0].tolist() == [255, 0, 0]
