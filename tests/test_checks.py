from __future__ import annotations

import pytest

from hargcn.checks import nearest, one_of


def test_one_of_names_the_argument_its_values_and_the_nearest():
    assert one_of("--on", "a", ("a", "b")) == "a"
    expected = r"Expected --on of branches, positions \(got 'branch'; did you mean 'branches'\?\)"
    with pytest.raises(ValueError, match=expected):
        one_of("--on", "branch", ("branches", "positions"))


def test_nothing_is_near_to_a_word_of_its_own():
    assert nearest("zzz", ("branches", "positions")) == ""
    assert nearest("gradcan", ("shap", "gradcam")) == "; did you mean 'gradcam'?"
