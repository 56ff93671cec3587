from __future__ import annotations

import json
from functools import partial

import pytest
from fixtures.command_line import done
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

from hargcn import Explanation, save_model
from hargcn.pipeline.explain import explain
from hargcn.pipeline.reproduce import reproduce

SLOW = partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        {"method": "shap", "background": 5, "settings": {"chunk": 3}},
        SLOW({"method": "shap", "background": 3, "settings": {"dtype": "float64"}}),
        SLOW({"method": "shap", "background": 4, "background_by": "balanced", "on": "positions"}),
        {"method": "shapcam", "settings": {"players": "joints", "permutations": 8}, "seed": 7},
        {"method": "gradcam", "layer": ["main.0.tcn"], "target": "class1"},
    ],
    ids=["shap", "shap in float64", "shap of positions", "shapcam", "gradcam"],
)
def test_what_explain_made_can_be_made_again(checkpoint, waving, tmp_path, asked):
    (path,) = explain(checkpoint, waving, tmp_path / "x.h5", limit=3, shard=2, **asked)
    found = reproduce(path, checkpoint, waving)
    assert found.samples == 3
    assert found.difference <= (1e-8 if "dtype" in asked.get("settings", {}) else 1e-3)


def test_the_command_says_how_close_it_came(gradcams, checkpoint, waving):
    said = done("reproduce", gradcams[0], "--checkpoint", checkpoint, "--windows", waving)
    assert "the same for" in said


def test_a_file_that_calls_full_attributions_all_can_be_made_again(
    gradcams, checkpoint, waving, tmp_path
):
    made = Explanation.open(gradcams[0])
    assert made.dataset.attrs["kept"] == "full"
    made.assign(kept="all").save(tmp_path / "earlier.h5")
    assert reproduce(tmp_path / "earlier.h5", checkpoint, waving).difference <= 1e-3


def test_another_result_is_an_error(gradcams, checkpoint, waving, tmp_path):
    other = tmp_path / "other.h5"
    made = Explanation.open(gradcams[0])
    Explanation(made.dataset.assign(attribution=made.values * 1.01)).save(other)
    with pytest.raises(ValueError, match=r"other\.h5: expected the same values within 1e-03"):
        reproduce(other, checkpoint, waving)


def test_other_files_are_refused(gradcams, checkpoint, waving, tmp_path):
    network = save_model(small_model(), tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"m\.safetensors: expected the file .* was made with"):
        reproduce(gradcams[0], network, waving)
    windows = moving_windows(tmp_path / "w.h5", groups=2).path
    with pytest.raises(ValueError, match=r"w\.h5: expected the file .* was made with"):
        reproduce(gradcams[0], checkpoint, windows)
    bare = tmp_path / "bare.h5"
    Explanation.open(gradcams[0]).assign(request="").save(bare)
    with pytest.raises(ValueError, match=r"bare\.h5: expected .* \(it holds no request\)"):
        reproduce(bare, checkpoint, waving)


def test_a_file_says_everything_that_was_asked(gradcams):
    request = json.loads(Explanation.open(gradcams[0]).dataset.attrs["request"])
    assert request["method"] == "gradcam"
    assert request["layer"] == ["main.0.tcn", "main.0.attention"]
    assert set(request) >= {"checkpoint", "windows", "settings", "target", "split", "seed", "on"}
