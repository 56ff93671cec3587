"""The journey of a user, for every format that is read: from recordings to pictures."""

from __future__ import annotations

import pytest
import yaml
from fixtures.command_line import done
from fixtures.samples import all_samples

from hargcn.data.readers import READERS
from hargcn.data.windows import Windows
from hargcn.explanation import Explanation

SAMPLES = all_samples()
SMALL = {
    "model": {
        **dict.fromkeys(("width", "min_width", "max_width", "last_width"), 16),
        "branch": {"blocks": 1, "depth": 1, "stride": 2},
        "main": {"blocks": 1},
    },
    "train": {"epochs": 1, "batch_size": 4, "device": "cpu"},
}


def reader_of(sample: str) -> str:
    """Return the format of a sample: "anipose-points3d" is another kind of "anipose"."""
    return max((r for r in READERS.all() if f"{sample}-".startswith(f"{r}-")), key=len)


def test_every_format_has_a_sample():
    ours = {
        name for name, reader in READERS.all().items() if reader.__module__.startswith("hargcn")
    }
    assert {reader_of(name) for name in SAMPLES} == ours


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* of the positive attribution lies on cells")  # padded frames
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_from_recordings_to_ranking_and_strip(name, tmp_path):
    folder, windows = tmp_path / "videos", tmp_path / "windows.h5"
    folder.mkdir()
    more = SAMPLES[name](folder)
    said = done("prepare", folder, "--out", windows, *more)
    assert "sets: by " in said
    data = Windows.open(windows)
    assert data.attrs["reader"] == reader_of(name)
    assert len(set(data.sample)) >= 8
    assert {"train", "test"} <= set(data.split)
    assert len(set(data.label)) == 2

    config, run = tmp_path / "experiment.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump({"windows": str(windows), **SMALL}), encoding="utf-8")
    done("train", config, "--out", run)
    network, explained = run / "model.safetensors", []
    for method, options in (("gradcam", ()), ("shap", ("--background", 4))):
        out = tmp_path / f"{method}.h5"
        done("explain", network, windows, "--method", method, "--limit", 2, *options, "--out", out)
        explained.append(out)
    shap = Explanation.open(explained[1])
    assert float(abs(shap.relative_gap).max()) < 1e-4
    assert list(shap.dataset["joint"].to_numpy()) == list(data.skeleton.joints)
    ranking, strip = tmp_path / "ranking.png", tmp_path / "strip.png"
    done("rank", *explained, "--out", ranking)
    done("show", explained[1], "--out", strip)
    assert min(ranking.stat().st_size, strip.stat().st_size) > 5_000
