from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hargcn.data.readers.trackers.openpose import OpenPose
from hargcn.data.readers.trackers.ultralytics import Ultralytics
from tests.fixtures.motion_files import SIZE, ultralytics
from tests.fixtures.tracker_files import openpose, walking


@pytest.mark.parametrize("count", [2, 9])
@pytest.mark.parametrize("reader", [OpenPose(fps=30), Ultralytics(fps=30, size=SIZE)])
def test_a_folder_is_listed_as_often_however_many_videos_it_has(
    tmp_path, monkeypatch, reader, count
) -> None:
    for at in range(count):
        if isinstance(reader, OpenPose):
            openpose(tmp_path, walking(2, 25), f"v{at}")
        else:
            ultralytics(tmp_path, walking(2, 17) / 4, video=f"v{at}")
    listings: Counter[str] = Counter()
    glob = Path.glob

    def counted(self, pattern, **options):
        listings[str(self)] += 1
        return glob(self, pattern, **options)

    monkeypatch.setattr(Path, "glob", counted)
    found = list(reader.recordings(tmp_path))
    assert [each.sample for each in found] == [f"v{at}" for at in range(count)]
    assert listings.total() <= 3, "one for each depth at which frames may lie"


@pytest.mark.parametrize("reader", [OpenPose(fps=30), Ultralytics(fps=30)])
def test_a_file_that_is_no_frame_is_refused(tmp_path, reader) -> None:
    (tmp_path / "notes.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="notes.json: no such video"):
        reader.read(tmp_path / "notes.json")
