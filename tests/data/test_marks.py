"""Marks of annotators, in the grammars that ELAN and BORIS export."""

from __future__ import annotations

import numpy as np
import pytest

import hargcn
from hargcn.data.marks import (
    Mark,
    MarksConfig,
    by_name,
    joints_of,
    masks,
    read_marks,
    recording_of,
)

LAYOUT = hargcn.skeleton("inmotion19")

# Rows as in ELAN's manual and in published exports: tier, participant, begin, end and duration in
# the formats that were ticked, the annotation.
ELAN_BARE = (
    "left_arm@anna\tP1\t00:00:00.780\t0.78\t00:00:01.340\t1.34\t00:00:00.560\t0.56\ttremor\n"
    'left_wrist@ben\tP1\t00:01:02.000\t62.0\t00:01:03.500\t63.5\t00:00:01.500\t1.5\t"odd"\n'
)
ELAN_MSEC = "left_arm\t\t780\t1340\t560\ttremor\nleft_wrist\t\t62000\t63500\t1500\t\n"
ELAN_HEADER = (
    "Tier\tParticipant\tBegin Time - hh:mm:ss.ms\tBegin Time - ss.msec\tEnd Time - hh:mm:ss.ms\t"
    "End Time - ss.msec\tDuration - hh:mm:ss.ms\tDuration - ss.msec\tAnnotation\n" + ELAN_BARE
)
ELAN_FRENCH = (
    "Acteur\tTemps de départ - ss.msec\ttemps de fin - ss.msec\tDurée - ss.msec\tAnnotation\n"
    "left_arm\t0,78\t1,34\t0,56\ttremblement\nleft_wrist\t62,0\t63,5\t1,5\t\n"
)
ELAN_COLUMNS = (
    "Begin Time - hh:mm:ss.ms\tEnd Time - hh:mm:ss.ms\tDuration - hh:mm:ss.ms\tleft_arm@anna\t"
    "left_arm@ben\n"
    "00:00:00.780\t00:00:01.340\t00:00:00.560\tyes\tyes\n"
    "00:01:02.000\t00:01:03.500\t00:00:01.500\t\tyes\n"
)
ELAN_FILES = (
    "left_arm\t\t00:00:00.780\t00:00:01.340\t00:00:00.560\ttremor\tC:\\eaf\\clip1.eaf\n"
    "left_wrist\t\t00:01:02.000\t00:01:03.500\t00:00:01.500\tx\tC:\\eaf\\clip2.eaf\n"
)
ELAN_ABOVE = '"#file:///videos/clip1.mp4 -- offset: 0"\n' + ELAN_BARE

# The header and rows of BORIS's own test files, with behaviours of ours.
BORIS = (
    "Observation id,Observation date,Description,Media file,Total length,FPS,Subject,Behavior,"
    "Behavioral category,Modifiers,Behavior type,Start (s),Stop (s),Duration (s),Comment start,"
    "Comment stop\n"
    "observation #1,2016-12-01 23:01:31,,/videos/clip1.mp4,180.000,25.0,No focal subject,left_arm,,"
    ",STATE,0.780,1.340,0.560,,\n"
    'observation #2,2016-12-01 23:01:31,,clip2.mp4,180.000,25.0,baby,left_wrist,"odd, here",,POINT,'
    '62.000,62.000,NA,"a ""word""",\n'
)
BORIS_EVENTS = """Observation id,clip1,,,,,,,
,,,,,,,,
Media file(s),,,,,,,,
,,,,,,,,
Player #1,video_test_25fps.mp4,,,,,,,
,,,,,,,,
Observation date,2016-11-27 01:57:26,,,,,,,
,,,,,,,,
Time offset (s),0.0,,,,,,,
,,,,,,,,
Time,Media file path,Total length,FPS,Subject,Behavior,Behavioral category,Comment,Status
0.780,clip1.mp4,359.960,25.0,subject1,left_arm,,,START
0.900,clip1.mp4,359.960,25.0,subject1,left_wrist,,,POINT
1.000,clip1.mp4,359.960,25.0,subject2,left_arm,,,START
1.340,clip1.mp4,359.960,25.0,subject1,left_arm,,,STOP
2.000,clip1.mp4,359.960,25.0,subject2,left_arm,,,STOP
"""


def written(folder, text, name="anna.txt", encoding="utf-8"):
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def spans(marks):
    return [(mark.what, pytest.approx(mark.start), pytest.approx(mark.stop)) for mark in marks]


BOTH = [("left_arm", 0.78, 1.34), ("left_wrist", 62.0, 63.5)]


@pytest.mark.parametrize(
    "text", [ELAN_BARE, ELAN_MSEC, ELAN_HEADER, ELAN_FRENCH, ELAN_FILES, ELAN_ABOVE]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_elan(tmp_path, text, encoding):
    found = read_marks(written(tmp_path, text, encoding=encoding))
    assert spans(found) == BOTH


def test_elan_with_a_column_for_each_tier(tmp_path):
    found = read_marks(written(tmp_path, ELAN_COLUMNS))
    assert [(mark.what, mark.annotator, mark.start) for mark in found] == [
        ("left_arm", "anna", 0.78),
        ("left_arm", "ben", 0.78),
        ("left_arm", "ben", 62.0),
    ]


def test_elan_saved_anew_by_a_spreadsheet(tmp_path):
    """Semicolons, decimal commas, quotes, a byte order mark, cells cut off at the end."""
    text = (
        'Tier;"Begin (s)";End (s);Annotation\r\n'
        '"left_arm";0,78;1,34;"a; b"\r\nleft_wrist;62;63,5\r\n'
    )
    found = read_marks(written(tmp_path, text, "anna.csv", "utf-8-sig"))
    assert spans(found) == BOTH
    text = "tier,begin (ms),end (ms)\nleft_arm,780,1340\nleft_wrist,62000,63500\n"
    assert spans(read_marks(written(tmp_path, text))) == BOTH
    text = "tier,begin,end\nleft_arm,0:00.780,0:01.34\nleft_wrist,1:02,00:01:03.5\n"
    assert spans(read_marks(written(tmp_path, text))) == BOTH


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_boris_aggregated_events(tmp_path, delimiter):
    text = BORIS
    if delimiter == "\t":
        text = text.replace('"odd, here"', "odd").replace('"a ""word"""', "w").replace(",", "\t")
    found = read_marks(written(tmp_path, text, "anna.csv"))
    assert spans(found) == [("left_arm", 0.78, 1.34), ("left_wrist", 62.0, 62.0)]
    assert found[0].names == ("/videos/clip1.mp4", "observation #1")
    assert [mark.annotator for mark in found] == ["anna", "anna"]


def test_boris_events_are_paired_by_subject(tmp_path):
    found = read_marks(written(tmp_path, BORIS_EVENTS, "anna.csv"))
    assert spans(found) == [("left_wrist", 0.9, 0.9), ("left_arm", 0.78, 1.34), ("left_arm", 1, 2)]
    assert found[0].names == ("clip1.mp4", "clip1", "video_test_25fps.mp4")
    newer = (
        "Observation id,Observation type,Subject,Behavior,Behavior type,Time,Media file name\n"
        "o,Media file(s),,left_arm,START,0.78,clip1.mp4\n"
        "o,Media file(s),,left_arm,STOP,1.34,clip1.mp4\n"
    )
    assert spans(read_marks(written(tmp_path, newer, "anna.csv"))) == BOTH[:1]


def test_who_an_annotator_is(tmp_path):
    """Behind the @, the folder, the file, or the folder of a file that is named as the video."""
    ben = tmp_path / "ben"
    ben.mkdir()
    written(ben, ELAN_MSEC, "clip1.txt")
    written(ben, ELAN_MSEC, "clip2.txt")
    found = read_marks(ben)
    assert {mark.annotator for mark in found} == {"ben"}
    assert [mark.names for mark in found] == [("clip1",)] * 2 + [("clip2",)] * 2
    assert {mark.annotator for mark in read_marks(ben / "clip1.txt")} == {"ben"}
    assert {mark.annotator for mark in read_marks(written(tmp_path, ELAN_FILES))} == {"anna"}
    assert [mark.annotator for mark in read_marks(written(tmp_path, ELAN_BARE))] == ["anna", "ben"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"anna\.txt: expected an export of ELAN .* or BORIS .*\(got 'an empty file'\)"),
        ("a,b\n1,2\n", r"expected an export of ELAN .*\(got 'a,b'\)"),
        (
            ELAN_BARE.replace("1.340", "0.340"),
            r"line 1: expected an end after its begin \(got 0\.78",
        ),
        (ELAN_BARE.replace("00:01:02.000", "soon"), r"line 2: expected a time, .* \(got 'soon'\)"),
        ("tier,begin,end\nleft_arm,1,2\n", r"line 2: expected the unit of '1' in the header"),
        ("tier,begin (s),end (s)\n", r"anna\.txt: expected marks below the header \(got none\)"),
        ("tier,begin (s),end (s)\nx,1,2,3\n", r"line 2: expected 3 cells \(got 4\)"),
        ('tier,begin (s),end (s)\n"x"y,1,2\n', r"line \d: expected CSV"),
        (BORIS.replace(",0.780,", ",NA,"), r"line 2: expected a time, .* \(got 'NA'\)"),
        (
            BORIS.replace("observation #2", "observation #1"),
            r"expected one video per observation \(got .*clip1\.mp4 and clip2\.mp4\)",
        ),
        (BORIS_EVENTS.replace("STOP", "STOPPED"), r"expected START and STOP of 'left_arm' in turn"),
        (
            BORIS_EVENTS[: BORIS_EVENTS.index("2.000,")],
            r"line 14: expected a STOP of 'left_arm' \(got none\)",
        ),
    ],
)
def test_what_is_no_mark_is_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(ValueError, match=said) as error:
        read_marks(written(tmp_path, text))
    assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.txt: no such file"):
        read_marks(tmp_path / "none.txt")
    with pytest.raises(ValueError, match=r"expected text in UTF-8 or UTF-16"):
        read_marks(written(tmp_path, "Gelenk\tä\n", encoding="latin-1"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: expected files \.txt, \.csv or \.tsv of marks"):
        read_marks(tmp_path / "empty")


def mark(what="left_arm", start=0.0, stop=1.0, names=("clip",)):
    return Mark(names, "anna", what, start, stop, "m.txt: line 1")


def test_a_tier_is_a_joint_a_part_the_whole_body_or_what_the_settings_say():
    def names(what, **joints):
        found = joints_of(mark(what), LAYOUT, MarksConfig(joints=joints))
        return [LAYOUT.joints[joint] for joint in found]

    part = [LAYOUT.joints[joint] for joint in LAYOUT.parts["left_arm"]]
    assert names("Left Arm") == names("left-arm") == part
    assert names("left_wrist") == ["left_wrist"]
    assert names("whole body") == list(LAYOUT.joints)
    assert names("fidgety", fidgety=["left_wrist", "left_arm"]) == part
    assert names("gaze", gaze=[]) == []
    with pytest.raises(ValueError, match=r"line 1: expected 'left_armm' to be .*mean 'left_arm'"):
        names("left_armm")
    with pytest.raises(
        ValueError, match=r"expected 'left_hnd' to be a joint or a part of inmotion"
    ):
        names("fidgety", fidgety=["left_hnd"])


def test_videos_go_by_their_name_with_or_without_extension():
    known = by_name(["clip1", "clip2.mp4", "v1.25"])
    assert recording_of((r"C:\videos\clip1.MOV",), known) == "clip1"
    assert recording_of(("/videos/clip2.avi",), known) == "clip2.mp4"
    assert recording_of(("x.mp4", "v1.25"), known) == "v1.25"
    assert recording_of(("clip3.mp4",), known) is None


def test_frames_lie_between_begin_and_end_and_a_point_marks_the_nearest():
    """Two windows of a recording, the second one resampled to another rate, and another's."""
    time = np.array([[0.0, 0.1, 0.2, 0.3], [0.2, 0.35, 0.5, 0.65], [0, 0.1, 0.2, 0.3]])
    sample = ["clip", "clip", "other"]

    def marked(*spans):
        own = [("clip", mark(start=a, stop=b), [1]) for a, b in spans]
        found = masks(own, sample, time, 3)
        assert not found[..., [0, 2]].any()
        assert not found[2].any()
        return [np.flatnonzero(row).tolist() for row in found[:2, :, 1]]

    assert marked((0.1, 0.35)) == [[1, 2, 3], [0, 1]]
    assert marked((0.1, 0.2), (0.15, 0.3)) == [[1, 2, 3], [0]]  # overlapping marks are one
    assert marked((0.14, 0.14)) == [[1], [0]]
    assert marked((0.36, 0.44)) == [[], [1]]  # between two frames
    assert marked((0.9, 1.4)) == [[], []]
