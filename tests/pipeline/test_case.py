from __future__ import annotations

import numpy as np
import pytest

from hargcn import Explanation
from hargcn.data.windows import Windows
from hargcn.pipeline.case import ExplainedWindows


def test_explanations_come_with_their_network_and_windows(gradcams, checkpoint, waving):
    case = ExplainedWindows.open(checkpoint, waving, list(gradcams))
    test = Windows.open(waving).subset("test")
    assert list(case.explanations) == ["gradcam main.0.tcn", "gradcam main.0.attention"]
    np.testing.assert_array_equal(case.positions.numpy(), test.positions())


def test_only_what_can_be_run_again_is_remade(gradcams, checkpoint, waving, tmp_path):
    found, other = Explanation.open(gradcams[1]), tmp_path / "other.h5"
    Explanation(found.dataset.assign_attrs(method="theirs", layer="")).save(other)
    both = ExplainedWindows.open(checkpoint, waving, [gradcams[1], other])
    assert list(both.explainers()) == ["gradcam main.0.attention"]
    with pytest.raises(ValueError, match="Expected an explanation to remake"):
        ExplainedWindows.open(checkpoint, waving, [other]).explainers()
