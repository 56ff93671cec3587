from __future__ import annotations

import numpy as np
import pytest

import hargcn
from hargcn.data.readers import find_reader
from hargcn.data.readers.trackers.coco import Coco
from tests.fixtures.tracker_files import alphapose, coco_annotations, walking, written

COCO = list(hargcn.skeleton("coco17").joints)


def test_results_of_alphapose(tmp_path) -> None:
    bodies = walking(5, 17)
    path = alphapose(tmp_path / "walk.json", bodies)
    assert find_reader(path) is Coco
    found = Coco(fps=30).read(path)
    assert (found.sample, found.skeleton.name) == ("walk", "coco17")
    np.testing.assert_array_equal(found.positions[..., 0], bodies[:, 0, :, :2].transpose(2, 0, 1))
    assert Coco(fps=30).read(alphapose(path, walking(3, 26))).skeleton.name == "halpe26"


def test_annotations_bring_the_names_of_joints(tmp_path) -> None:
    bodies = walking(4, 17, 2)
    order = np.random.default_rng(0).permutation(17)
    path = coco_annotations(
        tmp_path / "a.json", bodies[:, :, order], [COCO[i] for i in order], "clip_{:04d}.png"
    )
    assert find_reader(path) is Coco
    found = Coco(fps=30, persons=2).read(path)
    np.testing.assert_array_equal(found.positions, bodies[..., :2].transpose(3, 0, 2, 1))
    assert found.confidence is None  # a flag is no confidence


def test_unrelated_images_are_no_video(tmp_path) -> None:
    path = coco_annotations(tmp_path / "a.json", walking(2, 17), COCO, "{0}_dog_{0}.png")
    with pytest.raises(ValueError, match="images of one video.*unrelated images are no movement"):
        Coco(fps=30).read(path)
    path = alphapose(tmp_path / "b.json", walking(2, 17))
    path.write_text(path.read_text().replace('"1.jpg"', '"900000.jpg"'))
    with pytest.raises(ValueError, match="frames of one video .got 2 of 900001"):
        Coco(fps=30).read(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "got nobody"),
        ([1], "a list of people"),
        ([{"image_id": "x.jpg", "keypoints": [1, 2, 3]}], "a frame's number in image_id .got 'x"),
        ([{"image_id": 1, "keypoints": [1, 2]}], "person 0: expected 3 numbers for each joint"),
        ({"images": [{"id": 1}], "annotations": [{"keypoints": [1, 2, 3]}]}, "a frame's number"),
        ({"images": 1, "annotations": 2}, "lists of images, annotations and categories"),
    ],
)
def test_defects(tmp_path, content, said) -> None:
    with pytest.raises(ValueError, match=rf"a\.json: .*{said}"):
        Coco(fps=30).read(written(tmp_path / "a.json", content))


@pytest.mark.parametrize("key", ["idx", "track_id"])
def test_a_name_of_the_file_is_believed(tmp_path, key) -> None:
    bodies = walking(2, 17, 2)
    people = [
        {"image_id": at, "keypoints": bodies[at, m].ravel().tolist(), key: (m + at) % 2}
        for at in range(2)
        for m in range(2)
    ]
    found = Coco(fps=30, persons=2).read(written(tmp_path / "a.json", people))
    np.testing.assert_array_equal(found.positions[:, 1, 0, 0], bodies[1, 1, 0, :2])
