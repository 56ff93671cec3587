"""What `prepare` says it did: steps, numbers and doubts that are known beforehand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from fixtures.recordings import drifting

from hargcn.data.cutting import WindowConfig
from hargcn.data.preprocess import PRESETS, PreprocessConfig, preprocess
from hargcn.data.quality import Quality
from hargcn.data.recipe import doubts, recipe
from hargcn.data.recording import Recordings
from hargcn.data.splits import SplitConfig
from hargcn.data.windows import Windows, write_windows


def prepared(
    path, chain: PreprocessConfig, split: SplitConfig | None = None, labels=(0, 1, 0, 1), **cutting
) -> Windows:
    """Four recordings of two people at 25 frames per second, one gap of five frames in each."""
    layout = "ntu25" if chain.rotate == "shoulders" else "inmotion19"

    def load(at: int):
        positions = drifting(fps=25, layout=layout).positions.copy()
        positions[:, 10:15, 3] = np.nan
        about = {"sample": f"v{at}", "group": f"s{at // 2}", "label": labels[at]}
        return drifting(fps=25, layout=layout, positions=positions, **about)

    found = Recordings(range(4), load, ("calm", "wild"), remarks=["from nowhere"])
    ready = found.map(lambda recording: preprocess(recording, chain))
    config = WindowConfig(**{"length": 40, **cutting})
    return write_windows(
        path, ready, ("calm", "wild"), config, split=split,
        preprocessing=chain.model_dump(mode="json"),
    )  # fmt: skip


def test_every_step_with_its_numbers(tmp_path) -> None:
    chain = PreprocessConfig(
        fps=50, median=5, lowpass=0.2, lowpass_order=4, centre="median", scale="trunk"
    )
    split = SplitConfig(test=("s1",))
    said = recipe(prepared(tmp_path / "w.h5", chain, split))
    assert said == [
        "rate: 25 fps in 4 recordings; resampled to 50 fps",
        "gaps: filled up to 0.5 s (20 joint positions); a person counts as absent in longer ones "
        "(0 frames)",
        "filters: running median over 5 frames; Butterworth low-pass at 5 Hz, order 4, forth and "
        "back",
        "centre: on the middle of pelvis, median over the recording, of the first person",
        "rotation: none",
        "scale: the unit is twice the first person's trunk, pelvis to thorax, median over the "
        "recording",
        "windows: 40 frames (0.8 s), each shares 20 frames (0.4 s) with the next",
        "sets: by subject, as listed: train s0; test s1",
    ]


def test_first_frames_are_not_called_stretched(tmp_path) -> None:
    windows = prepared(tmp_path / "w.h5", PreprocessConfig(), mode="first")
    assert "windows: the first 40 frames (1.6 s) of every recording" in recipe(windows)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_said_in_words(tmp_path, name) -> None:
    windows = prepared(tmp_path / "w.h5", PRESETS[name], mode="whole")
    said = recipe(windows)
    assert "; not resampled" in said[0] or "; resampled to 30 fps" in said[0]
    steps = dict(line.split(": ", 1) for line in said)
    assert "one per recording, stretched, of 40 frames" in steps["windows"]
    assert steps["sets"] == "none: every window is in no set"
    repeated = "movements begin anew until frame 300" if PRESETS[name].repeat else None
    assert steps.get("repetition") == repeated
    if PRESETS[name].lowpass:
        assert "low-pass at 7.5 Hz" in said[2]
    assert (steps["scale"] == "none: the unit of the files") == (PRESETS[name].scale == "none")


def test_sets_that_are_drawn_say_so(tmp_path) -> None:
    split = SplitConfig(test_share=0.5, seed=3)
    said = recipe(prepared(tmp_path / "w.h5", PreprocessConfig(), split))
    assert "sets: by subject, 0.5 of them drawn for test (seed 3): train s" in said[-1]
    assert "rate: 25 fps in 4 recordings; not resampled" in said[0]


def test_doubts_are_said_where_there_are_some(tmp_path) -> None:
    good = prepared(tmp_path / "a.h5", PreprocessConfig(), SplitConfig(test=("s1",)))
    assert doubts(good) == []
    bare = prepared(tmp_path / "b.h5", PreprocessConfig(), labels=(None, 1, None, 0))
    said = " ".join(doubts(bare))
    assert "no class is known of 4 of 8 windows" in said
    assert "no window is in the set train nor test" in said
    alike = prepared(tmp_path / "c.h5", PreprocessConfig(), SplitConfig(test=("s1",)), (0, 1, 1, 1))
    assert "of one class only: test;" in " ".join(doubts(alike))


def test_rates_and_remarks_are_in_the_file(tmp_path) -> None:
    windows = prepared(tmp_path / "w.h5", PRESETS["cp"])
    quality = Quality.from_dict(windows.attrs["quality"])
    assert quality.rates == {"25": 4}
    assert quality.lines()[-1] == "from nowhere"
    older = json.loads(json.dumps(quality.to_dict()))
    del older["rates"], older["remarks"]
    of_an_older_file = replace(windows, attrs={**windows.attrs, "quality": older})
    assert recipe(of_an_older_file)[0] == "rate: resampled to 30 fps"
