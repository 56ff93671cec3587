from __future__ import annotations

import numpy as np
import pytest
from fixtures.fake_explanations import FRAMES, cam_like, shap_like
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from hargcn.explanation import Explanation
from hargcn.plots import plot_strip, plot_strips, save_clip
from hargcn.skeleton import skeleton

SIDES = ("L", "R")
SAID = "L, R: the person's own left and right"


def positions(layout="kinect20", persons=1):
    made = skeleton(layout)
    rng = np.random.default_rng(0)
    return rng.normal(size=(made.ndim, FRAMES, made.n_joints, persons))


def points(axis):
    return [each for each in axis.collections if isinstance(each, PathCollection)]


def bodies(axis):
    return [each for each in points(axis) if each.get_label() not in SIDES]


def letters(axis):
    """Return L and R of every body: the joint beside which, and which way it is shifted."""
    axis.figure.draw_without_rendering()
    found = {side: [] for side in SIDES}
    for each in points(axis):
        if each.get_label() in SIDES:
            ((x, y),) = each.get_offsets()
            shift = each.get_offset_transform().transform((x, y)) - axis.transData.transform((x, y))
            found[each.get_label()].append((x, y, np.sign(shift[0].round(6))))
    return found


def captions(axis):
    return [text.get_text() for text in axis.texts]


def test_one_body_per_chosen_frame_side_by_side_in_their_order():
    _, axis = plot_strip(cam_like(2), 1, positions(), [3, 10, 20])
    assert len(bodies(axis)) == 3
    centres = [body.get_offsets()[:, 0].mean() for body in bodies(axis)]
    assert centres == sorted(centres)
    assert [text.splitlines()[0] for text in captions(axis)] == ["frame 3", "frame 10", "frame 20"]
    assert axis.get_aspect() == 1


def test_by_default_the_frame_of_the_largest_attribution_is_among_them_and_marked():
    made = shap_like(1)
    made.values.to_numpy()[0, :, :, 1, 7] = 50.0
    _, axis = plot_strip(made, 0, positions(), 4, fps=10)
    assert captions(axis)[0] == "frame 1\n0.10 s\nlargest"
    assert len(captions(axis)) == 5
    assert len(captions(plot_strip(made, 0, positions())[1])) == 7
    made.values.to_numpy()[0, :, :, 9, 7] = 90.0
    _, axis = plot_strip(made, 0, positions(), 4)
    # Evenly spaced would be 5, 9, 14, 18: the largest takes its neighbour's place.
    assert captions(axis) == ["frame 5", "frame 9\nlargest", "frame 14", "frame 18"]


def test_stored_movement_and_rate_are_the_default():
    place = positions()
    stored = (("sample", "space", "frame", "joint", "person"), np.stack([place * 9, place]))
    seconds = (("sample", "frame"), np.stack([np.arange(FRAMES), np.arange(FRAMES) / 12]))
    made = cam_like(2).assign({"positions": stored, "seconds": seconds})
    _, own = plot_strip(made, 1, frames=[12])
    _, same = plot_strip(cam_like(2), 1, place, [12], fps=12)
    np.testing.assert_array_equal(bodies(own)[0].get_offsets(), bodies(same)[0].get_offsets())
    assert captions(own) == captions(same) == ["frame 12\n1.00 s"]
    with pytest.raises(ValueError, match=r"expected positions \(none stored\)"):
        plot_strip(cam_like(2), 1)


def test_a_coarse_map_lights_up_in_the_frames_of_its_cell_only():
    cam = cam_like(1, cells=6)
    cam.values.to_numpy()[:] = 0
    cam.values.to_numpy()[0, 2, 4] = 1.0  # frames 8 to 11
    _, axis = plot_strip(cam, 0, positions(), [7, 8, 11, 12])
    largest = [body.get_sizes().max() for body in bodies(axis)]
    assert largest[1] == largest[2] > 5 * largest[0]
    assert largest[0] == largest[3]
    # All other joints are neutral: the lightest grey there is.
    colours = bodies(axis)[0].get_facecolors()[:, :3]
    assert np.ptp(colours, axis=1).max() < 0.01


def test_two_persons_and_two_dimensions_are_drawn_image_axes_downwards():
    made = shap_like(1, persons=2)
    _, axis = plot_strip(made, 0, positions(persons=2), [2, 5])
    assert len(bodies(axis)) == 4
    layout = skeleton("inmotion29")
    flat = positions("inmotion29")
    _, axis = plot_strip(shap_like(1, layout), 0, flat, [0])
    assert layout.up == "-y"
    drawn = np.sort(bodies(axis)[0].get_offsets()[:, 1])
    np.testing.assert_allclose(drawn, np.sort(-flat[1, 0, :, 0]))


def test_an_absent_person_leaves_one_body():
    made, place = shap_like(1, persons=2), positions(persons=2)
    place[..., 1] = 0
    _, axis = plot_strip(made, 0, place, [4])
    assert [len(body.get_offsets()) for body in bodies(axis)] == [20, 0]


def test_views_differ_and_the_callers_axes_are_used():
    figure = Figure()
    given = figure.subplots()
    made, axis = plot_strip(cam_like(1), 0, positions(), [0], ax=given)
    assert (made, axis) == (figure, given)
    _, side = plot_strip(cam_like(1), 0, positions(), [0], view="side")
    assert not np.allclose(
        np.sort(bodies(axis)[0].get_offsets()[:, 0]), np.sort(bodies(side)[0].get_offsets()[:, 0])
    )


def test_the_bar_of_a_positive_map_has_no_negative_half():
    cam = cam_like(1)
    figure, _ = plot_strip(cam, 0, positions(), [0])
    assert figure.axes[1].get_ylim()[0] < 0
    cam.values.to_numpy()[:] = np.abs(cam.values)
    figure, _ = plot_strip(cam, 0, positions(), [0])
    assert figure.axes[1].get_ylim()[0] == 0
    assert figure.axes[1].get_ylabel() == "attribution (logit)"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([24], r"frames from 0 to 23 \(got \[24\]\)"),
        ([], "frames from 0 to 23"),
        (0, "at least one frame"),
    ],
)
def test_frames_outside_the_window_are_refused(frames, message):
    with pytest.raises(ValueError, match=message):
        plot_strip(cam_like(1), 0, positions(), frames)


def test_frames_without_anybody_are_refused():
    place = positions()
    place[:, 5] = np.nan
    said = r"^0: Grad-CAM main\.1\.attention .*at least one joint in the chosen frames \(got none\)"
    with pytest.raises(ValueError, match=said):
        plot_strip(cam_like(1), 0, place, [5])


def test_a_joint_at_infinity_is_not_drawn():
    place = positions()
    place[1, 4, 7] = np.inf
    figure, axis = plot_strip(cam_like(1), 0, place, [4])
    (body,) = bodies(axis)
    assert len(body.get_offsets()) == 19
    figure.draw_without_rendering()


def test_a_gif_moves_at_the_recordings_speed(tmp_path):
    path = tmp_path / "clip.gif"
    save_clip(cam_like(1), 0, positions(), path, step=6, fps=30, dpi=40)
    with Image.open(path) as clip:
        assert clip.n_frames == FRAMES // 6
        assert clip.info["duration"] == 200
        first = np.asarray(clip.convert("RGB"))
        clip.seek(1)
        assert (np.asarray(clip.convert("RGB")) != first).any()
    assert [p.name for p in tmp_path.iterdir()] == ["clip.gif"]


def test_a_gif_runs_at_the_rate_of_the_stored_time(tmp_path):
    seconds = (("sample", "frame"), 2.5 + np.arange(FRAMES)[None] / 15)
    made = cam_like(1).assign({"seconds": seconds})
    save_clip(made, 0, positions(), tmp_path / "clip.gif", step=3, dpi=40)
    with Image.open(tmp_path / "clip.gif") as clip:
        assert clip.info["duration"] == 200


def test_bones_connect_the_joints_of_their_own_frame():
    _, axis = plot_strip(cam_like(1), 0, positions(), [0, 12])
    lines = [each for each in axis.collections if isinstance(each, LineCollection)]
    for bones, body in zip(lines, bodies(axis), strict=True):
        ends = {tuple(np.round(end, 9)) for bone in bones.get_segments() for end in bone}
        assert ends == {tuple(np.round(point, 9)) for point in body.get_offsets()}


def seen_as(made, states):
    stored = np.broadcast_to(states, (len(made), FRAMES, *np.shape(states)[-2:]))
    return made.assign({"state": (("sample", "frame", "joint", "person"), stored)})


def test_joints_that_nobody_saw_are_hollow_and_the_legend_says_so():
    states = np.ones((FRAMES, 20, 1), dtype=np.uint8)
    states[5, [2, 7]] = 2
    place = positions()
    figure, axis = plot_strip(seen_as(cam_like(1), states), 0, place, [4, 5])
    first, second, holes = bodies(axis)
    assert [len(each.get_offsets()) for each in (first, second, holes)] == [20, 20, 2]
    np.testing.assert_allclose(holes.get_facecolors(), 1)  # white
    assert holes.get_sizes().max() < second.get_sizes().max() / 2
    _, alone = plot_strip(seen_as(cam_like(1), states), 0, place, [5])
    drawn = bodies(alone)[1].get_offsets()
    wanted = place[0, 5, [2, 7], 0]
    np.testing.assert_allclose(np.sort(drawn[:, 0]), np.sort(wanted), atol=1e-9)
    said = [text.get_text() for text in axis.get_legend().get_texts()]
    assert said == [SAID, "interpolated: nobody saw the joint"]
    figure.draw_without_rendering()
    whole = plot_strip(seen_as(cam_like(1), states), 0, place, [4])[1]
    assert [text.get_text() for text in whole.get_legend().get_texts()] == [SAID]


def test_a_frame_that_shows_nobody_says_what_it_is_credited():
    states = np.ones((FRAMES, 20, 1), dtype=np.uint8)
    states[20:] = 0
    place = positions()
    place[:, 20:] = 0
    made = cam_like(1, cells=24)
    made.values.to_numpy()[:] = 0
    made.values.to_numpy()[0, 22, 3] = 0.5
    _, axis = plot_strip(seen_as(made, states), 0, place, [10, 22])
    assert captions(axis) == ["frame 10", "frame 22\nnobody seen,\n+0.5 credited\nlargest"]


def test_the_persons_own_left_and_right_are_marked_beside_the_outermost_joints():
    layout = skeleton("kinect20")
    place = positions()
    left, right = (layout.index(f"{side}_hand") for side in ("left", "right"))
    place[0, :, left], place[0, :, right] = -2, 3  # arms crossed; hips tell the front
    place[0, :, layout.index("left_hip")], place[0, :, layout.index("right_hip")] = 20, -20
    _, axis = plot_strip(cam_like(1), 0, place, [4])
    found = letters(axis)
    assert found["L"] == [(place[0, 4, left, 0], place[1, 4, left, 0], -1)]
    assert found["R"] == [(place[0, 4, right, 0], place[1, 4, right, 0], 1)]
    both = letters(plot_strip(cam_like(1), 0, place, [4, 9])[1])
    assert [len(both[side]) for side in SIDES] == [2, 2]


def test_a_joint_that_is_not_there_bears_no_letter():
    layout = skeleton("kinect20")
    place = positions()
    place[:, 4, [layout.index(f"left_{joint}") for joint in ("hand", "wrist")]] = np.nan
    ((x, y, _),) = letters(plot_strip(cam_like(1), 0, place, [4])[1])["L"]
    assert (x, y) == tuple(place[:2, 4, layout.index("left_foot"), 0])  # as far from the root
    place[:, 4, [pair[0] for pair in layout.mirror]] = np.nan
    found = letters(plot_strip(cam_like(1), 0, place, [4])[1])
    assert [len(found[side]) for side in SIDES] == [0, 1]


def test_a_hand_has_no_sides():
    layout = skeleton("hand21")
    _, axis = plot_strip(cam_like(1, layout), 0, positions("hand21"), [4])
    assert letters(axis) == {"L": [], "R": []}
    assert axis.get_legend() is None


@pytest.mark.slow
@pytest.mark.parametrize("frames", [[4], None])
@pytest.mark.parametrize("wide", [0.1, 1, 10])
def test_a_long_title_gets_room_and_lies_inside_the_figure(wide, frames):
    names = '["sit_down_slowly_and_stand_up_again_with_both_hands_on_the_knees"]'
    made = cam_like(1).assign({"label": [0], "predicted": [0]}, classes=names)
    place = positions() * np.array([wide, 1, 1])[:, None, None, None]
    (short, plain), (figure, axis) = (
        plot_strip(one, 0, place, frames) for one in (cam_like(1), made)
    )
    more = axis.get_title().count("\n") - plain.get_title().count("\n")
    assert more >= 1
    assert figure.get_figheight() - short.get_figheight() >= 0.16 * more
    figure.draw_without_rendering()
    for text in (axis.title, *axis.get_legend().get_texts(), *axis.texts):
        box = text.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1, text


def stored(made, name="w1"):
    """Return an explanation of one window that holds its movement."""
    skeleton = made.skeleton.name
    place = positions(skeleton)[None]
    held = made.assign({"positions": (("sample", "space", "frame", "joint", "person"), place)})
    return Explanation(held.dataset.assign_coords(sample=[name]))


def test_explanations_of_a_window_are_rows_on_its_frames_and_scales_of_their_own():
    shap, cam = stored(shap_like(1)), stored(cam_like(1, cells=6))
    shap.values.to_numpy()[0, :, :, 9, 7] = 50.0
    infant = stored(cam_like(1, layout=skeleton("inmotion29")), "infant")
    figure, axes = plot_strips([shap, cam, infant], 4)
    assert len(axes) == 3
    # The largest of the first row is among the frames; their numbers stand below the last row.
    assert captions(axes[0]) == []
    assert captions(axes[1]) == ["frame 5", "frame 9", "frame 14", "frame 18"]
    assert [len(bodies(axis)) for axis in axes[:2]] == [4, 4]
    places = [bodies(axis)[1].get_offsets() for axis in axes[:2]]
    np.testing.assert_array_equal(np.sort(places[0], 0), np.sort(places[1], 0))
    titles = [axis.get_title(loc="left") for axis in axes]
    assert titles[0].startswith("w1: for ")
    assert titles[0].endswith(shap.title)
    assert titles[1] == cam.title
    assert titles[2].startswith("infant: for ")
    bars = [axis for axis in figure.axes if axis not in axes]
    assert len(bars) == 3
    assert len({bar.get_ylim() for bar in bars}) > 1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [SAID]


def test_rows_are_of_one_window_each():
    with pytest.raises(ValueError, match=r"one window each \(got none\)"):
        plot_strips([])
    with pytest.raises(ValueError, match=r"one window each \(got \['gradcam"):
        plot_strips([cam_like(2)])


LONG = "sitting_down_slowly_and_then_standing_up_again_without_any_help"


def told(count=1, layout="kinect20"):
    """Return windows with long names of recordings and classes, and an answer."""
    names = [f"subject_0123_camera_left_front_session_7_take_03_visit@{i}00" for i in range(count)]
    place = np.broadcast_to(positions(layout), (count, *positions(layout).shape))
    known = {"label": np.zeros(count, int), "predicted": np.ones(count, int)}
    known |= {"probability": np.full(count, 0.73), "versus": np.ones(count, int)}
    known["positions"] = (("sample", "space", "frame", "joint", "person"), place)
    made = shap_like(count, skeleton(layout)).assign(known, coords={"sample": names})
    return made.assign(classes=f'["{LONG}", "not_{LONG}"]')


def narrow(made):
    """Return bodies that are narrow, so that their axes are."""
    thin = np.array([0.1, 1, 1])[:, None, None, None]
    places = made.dataset["positions"]
    return made.assign({"positions": (places.dims, places.to_numpy() * thin)})


def whole(figure, title):
    """Return whether a title lies inside its picture, as it is drawn."""
    figure.draw_without_rendering()
    box, page = title.get_window_extent(), figure.bbox.padded(1)
    return page.x0 <= box.x0 <= box.x1 <= page.x1 and page.y0 <= box.y0 <= box.y1 <= page.y1


@pytest.mark.parametrize("frames", [[3], None])
@pytest.mark.parametrize("shape", [lambda made: made, narrow])
def test_long_names_stay_inside_the_picture_and_titles_say_the_answer(frames, shape):
    figure, axis = plot_strip(shape(told()), 0, frames=frames)
    assert whole(figure, axis.title)
    said = "".join(axis.get_title().split())
    assert f"true{LONG},predictednot_{LONG}(73%)" in said
    assert f"SHAPfor{LONG}ratherthannot_{LONG}(logit1.50)" in said


@pytest.mark.parametrize("shape", [lambda made: made, narrow])
def test_titles_of_strips_below_each_other_stay_inside(shape):
    made = shape(told(2))
    figure, axes = plot_strips([made.isel(sample=[i]) for i in (0, 1)], [3, 9])
    for axis in axes:
        said = axis.get_title("left")
        (title,) = [each for each in axis.findobj(Text) if said and each.get_text() == said]
        assert whole(figure, title)
        assert said.endswith("\nSHAP")


def test_a_callers_own_figure_keeps_its_size():
    figure = Figure((4, 4))
    plot_strip(told(), 0, frames=[3], ax=figure.subplots())
    assert figure.get_size_inches().tolist() == [4, 4]
