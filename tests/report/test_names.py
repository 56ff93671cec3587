"""Names that say nothing: equal ones stay equal, and nobody can try names out."""

from __future__ import annotations

import numpy as np
from fixtures.report_pages import explained

from hargcn.report.names import anonymised


def test_names_are_hashed_alike_and_starts_are_kept():
    names = ["anna@0", "anna@30", "ben@0", "carl", "carl@home", "ben@30"]
    one = explained(names=names)["shap"]
    found = anonymised(one, b"salt")
    windows = found.dataset["sample"].to_numpy().tolist()
    assert not [each for each in windows if any(who in each for who in ("anna", "ben", "carl"))]
    assert windows[0].split("@")[0] == windows[1].split("@")[0] != windows[2].split("@")[0]
    assert [each.partition("@")[2] for each in windows] == ["0", "30", "0", "", "", "30"]
    assert len(set(windows)) == 6
    groups = found.dataset["group"].to_numpy()
    assert groups[0] == groups[2] != groups[1]
    assert not {"s0", "s1"} & set(groups)
    assert np.array_equal(found.values, one.values)


def test_another_salt_gives_other_names_and_the_same_one_the_same():
    one = explained()["shap"]
    first, again, other = (
        anonymised(one, salt).dataset["sample"].to_numpy().tolist() for salt in (b"a", b"a", b"b")
    )
    assert first == again
    assert not set(first) & set(other)
