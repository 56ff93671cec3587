from __future__ import annotations

import numpy as np
import pytest

from hargcn.data.readers import find_reader
from hargcn.data.readers.trackers.lightning_pose import LightningPose
from tests.fixtures.motion_files import lightning_pose
from tests.fixtures.stick import STICK, stick
from tests.fixtures.tracker_files import walking


def test_predictions_are_recognised_and_read(tmp_path) -> None:
    layout, bodies = stick(tmp_path), walking(5, 5)
    path = lightning_pose(tmp_path / "v1.csv", bodies, STICK)
    assert path.read_text("utf-8").startswith("scorer,heatmap_tracker,")
    assert find_reader(path) is LightningPose
    found = LightningPose(layout, fps=30).read(path)
    assert found.sample == "v1"
    np.testing.assert_array_equal(found.positions[..., 0], bodies[:, 0, :, :2].transpose(2, 0, 1))
    assert (found.confidence == 0.5).all()


def test_tables_of_losses_beside_them_are_no_videos(tmp_path) -> None:
    layout = stick(tmp_path)
    lightning_pose(tmp_path / "v1.csv", walking(5, 5), STICK)
    for loss in ("temporal_norm", "pca_singleview_error"):
        (tmp_path / f"v1_{loss}.csv").write_text(f",{','.join(STICK)}\n0,1,1,1,1,1\n", "utf-8")
    reader = LightningPose(layout, fps=30)
    assert [found.sample for found in reader.recordings(tmp_path)] == ["v1"]


def test_coordinates_that_an_ensemble_adds_are_ignored(tmp_path) -> None:
    layout, path = stick(tmp_path), lightning_pose(tmp_path / "v.csv", walking(3, 5), STICK)
    scorer, parts, coords, *rows = path.read_text("utf-8").splitlines()
    lines = [f"{scorer},ensemble-kalman_tracker", f"{parts},head", f"{coords},x_ens_var"]
    path.write_text("\n".join([*lines, *(f"{row},9" for row in rows)]) + "\n", "utf-8")
    assert find_reader(path) is LightningPose
    np.testing.assert_array_equal(
        LightningPose(layout, fps=30).read(path).positions[0, :, 0, 0], range(3)
    )


def test_defects_are_those_of_the_grammar(tmp_path) -> None:
    layout, path = stick(tmp_path), lightning_pose(tmp_path / "v.csv", walking(3, 5), STICK)
    path.write_text(path.read_text("utf-8").replace("0.5", "high", 1), "utf-8")
    with pytest.raises(ValueError, match=r"v\.csv: line 4: expected a number in column 4"):
        LightningPose(layout, fps=30).read(path)
