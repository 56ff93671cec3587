"""What was seen of a recording, carried from windows to explanations."""

from __future__ import annotations

import numpy as np
from fixtures.recordings import drifting

from hargcn import Explanation
from hargcn.data.cutting import WindowConfig
from hargcn.data.windows import write_windows
from hargcn.pipeline.explain import explain


def test_explanations_hold_states_and_confidence(checkpoint, tmp_path):
    confidence = np.full((16, 19, 1), 0.75)
    confidence[3, 2] = np.nan
    state = np.where(np.isnan(confidence), 2, 1)
    recording = drifting(16, confidence=confidence, state=state)
    windows = tmp_path / "w.h5"
    write_windows(windows, [recording], ["class0"], WindowConfig(length=16, overlap=0))
    explain(checkpoint, windows, tmp_path / "e.h5", split="all", other_preparation=True)
    found = Explanation.open(tmp_path / "e.h5").dataset
    assert found["confidence"].dims == ("sample", "frame", "joint", "person")
    np.testing.assert_array_equal(found["confidence"][0], confidence)
    np.testing.assert_array_equal(found["state"][0], state)
