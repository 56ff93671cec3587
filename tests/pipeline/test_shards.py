from __future__ import annotations

import numpy as np
import pytest

from hargcn.explanation import Explanation
from hargcn.pipeline.shards import Shards


def one(value: float) -> dict[str, Explanation]:
    made = Explanation.build(
        np.full((2, 3), value), ("sample", "joint"), method="m", target=[0, 1], score=[1.0, 2.0]
    )
    return {"": made}


def test_shards_are_joined_in_order_and_removed(tmp_path):
    shards = Shards(tmp_path / "parts", {"a": 1}, 2)
    for number in (1, 0):
        shards.add(number, one(number))
    assert list(shards.join(tmp_path / "x.h5")) == [""]
    np.testing.assert_array_equal(Explanation.open(tmp_path / "x.h5").values[:, 0], [0, 0, 1, 1])
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_a_missing_shard_is_never_left_out(tmp_path):
    shards = Shards(tmp_path / "parts", {}, 3)
    shards.add(0, one(0))
    shards.add(2, one(2))
    with pytest.raises(ValueError, match=r"parts: expected 3 shards \(no number 1\)"):
        shards.join(tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()
    assert Shards(tmp_path / "parts", {}, 3).done(2)


def test_a_changed_shard_is_never_joined(tmp_path):
    shards = Shards(tmp_path / "parts", {}, 1)
    shards.add(0, one(0))
    one(5)[""].save(tmp_path / "parts" / "00000.h5")
    with pytest.raises(ValueError, match=r"00000\.h5: expected the shard that was written"):
        shards.join(tmp_path / "x.h5")
    (tmp_path / "parts" / "00000.h5").unlink()
    with pytest.raises(ValueError, match=r"00000\.h5: expected the shard that was written"):
        shards.join(tmp_path / "x.h5")


def test_another_number_of_shards_is_another_job(tmp_path):
    Shards(tmp_path / "parts", {}, 2).add(0, one(0))
    assert Shards(tmp_path / "parts", {}, 2).done(0)
    assert not Shards(tmp_path / "parts", {}, 3).done(0)
    assert not Shards(tmp_path / "parts", {"a": 1}, 2).done(0)


def test_a_folder_that_is_no_jobs_is_never_touched(tmp_path):
    own = tmp_path / "x.h5.parts"
    own.mkdir()
    (own / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match=r"x\.h5\.parts: expected a job's folder or none"):
        Shards(own, {}, 1)
    assert (own / "thesis.txt").read_text(encoding="utf-8") == "mine"
