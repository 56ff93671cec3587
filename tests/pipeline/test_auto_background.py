"""The number of background rows of a job, found on some of its windows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fixtures.moving_windows import moving_windows, still_windows
from fixtures.small_model import small_model

from hargcn import Explanation, load_model, save_model
from hargcn.data.windows import Windows
from hargcn.explainers import DeepSHAP
from hargcn.explainers.deepshap.background import in_order
from hargcn.explainers.deepshap.row_error import relative_error, standard_errors
from hargcn.pipeline import auto_background
from hargcn.pipeline.auto_background import FoundRows
from hargcn.pipeline.background import answers
from hargcn.pipeline.experiment_file import experiments, read_experiment
from hargcn.pipeline.explain import explain
from hargcn.pipeline.prepare import prepare
from hargcn.pipeline.reproduce import reproduce

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.filterwarnings("ignore:.*nobody can say whether its windows are prepared")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    """Return a network, and windows of which 48 of 60 train."""
    folder = tmp_path_factory.mktemp("files")
    checkpoint = save_model(small_model(), folder / "model.safetensors")
    windows = moving_windows(folder / "w.h5", groups=5, val=(), test=("g1",), frames=8)
    assert (windows.split == "train").sum() == 48
    return checkpoint, windows.path


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Make the least number of rows, and of pilot windows, those of a small job."""
    monkeypatch.setattr(auto_background, "LEAST", 6)
    monkeypatch.setattr(auto_background, "GROWTH", 2)
    monkeypatch.setattr(auto_background, "PILOTS", 3)


def told(path: Path) -> dict:
    return json.loads(Explanation.open(path).dataset.attrs["request"])


def auto(files, out, tolerance=0.25, **options) -> tuple[Path, list[str]]:
    """Explain with as many rows as are needed; return the file and what was said."""
    said: list[str] = []
    (path,) = explain(
        *files, out, method="shap", background="auto", tolerance=tolerance, limit=5, shard=3,
        say=said.append, **options,
    )  # fmt: skip
    return path, said


@pytest.mark.parametrize("by", ["", pytest.param("random", marks=pytest.mark.slow)])
def test_one_number_for_all_windows_is_found_and_said(files, tmp_path, by):
    path, (said, *_) = auto(files, tmp_path / "x.h5", background_by=by)
    request = told(path)
    found = request["background_auto"]
    errors = list(found["errors"].values())
    assert 6 < found["rows"] < 48 == found["total"]
    assert errors[-1] <= 0.25 < min(errors[:-1])
    assert request["background"] == str(found["rows"]) == list(found["errors"])[-1]
    assert request["background_by"] == (by or "herding")
    assert said.startswith(
        f"background auto: {found['rows']} of 48 rows by {by or 'herding'}, expected error "
        f"{errors[-1]:.1%}"
    )
    made = Explanation.open(path)
    assert made.dataset.sizes["background"] == found["rows"]
    assert set(found["pilots"]) < set(made.dataset["sample"].to_numpy().tolist())
    bases = made.base_value.to_numpy()
    for target in np.unique(made.target):  # one base value for every class
        np.testing.assert_allclose(bases[made.target == target].std(), 0, atol=1e-6)
    if by:  # the same rows as when the number is given
        (plain,) = explain(
            *files, tmp_path / "y.h5", method="shap", background=found["rows"], limit=5
        )
        np.testing.assert_allclose(Explanation.open(plain).values, made.values, atol=1e-5)


@pytest.mark.slow
def test_a_job_that_goes_on_keeps_its_number(files, tmp_path, monkeypatch):
    out, original = tmp_path / "x.h5", DeepSHAP.explain
    with monkeypatch.context() as patch:
        met: list[int] = []

        def killed(explainer, network, x, target):
            met.append(len(x))
            if len(met) == 2:
                raise KeyboardInterrupt("killed")
            return original(explainer, network, x, target)

        patch.setattr(DeepSHAP, "explain", killed)
        with pytest.raises(KeyboardInterrupt, match="killed"):
            auto(files, out)
    with monkeypatch.context() as patch:
        patch.setattr(DeepSHAP, "by_row", lambda *_: pytest.fail("found before"))
        met.clear()
        path, (said, *_) = auto(files, out)
        assert said.startswith("background auto: ")
        _, (again, *rest) = auto(files, out)
        assert again == said
        assert "finished before" in rest[-1]
        with pytest.raises(pytest.fail.Exception, match="found before"):
            auto(files, out, tolerance=0.2)  # another tolerance is another job
    assert reproduce(path, *files).samples == 5


@pytest.mark.slow
def test_all_rows_where_no_fewer_suffice(files, tmp_path):
    path, (said, *_) = auto(files, tmp_path / "x.h5", tolerance=1e-9)
    found = told(path)["background_auto"]
    assert found["rows"] == 48
    assert found["errors"]["48"] == 0
    assert said.startswith("background auto: all 48 rows, expected error ")
    assert said.endswith("the tolerance of 0.0% cannot be reached with fewer")


@pytest.mark.slow
@pytest.mark.parametrize("by", ["herding", "random"])
@pytest.mark.parametrize(
    ("train", "moves", "told"),
    [
        (1, 0.1, "background auto: all 1 rows, there are no more"),
        (13, 0.0, "background auto: 6 of 13 rows by {}, expected error 0.0% (joint scores 0.0%)"),
    ],
)
def test_one_window_or_many_that_are_equal(files, tmp_path, by, train, moves, told):
    """All of one class; of equal ones every value is nothing, and rounding adds up to it."""
    windows = still_windows(tmp_path / "w.h5", train, moves)
    path, (said, *_) = auto((files[0], windows), tmp_path / "x.h5", background_by=by)
    assert said == told.format(by)
    values = Explanation.open(path).values.to_numpy()
    assert bool(values.any()) is (moves > 0)


def test_windows_that_are_cut_or_train_nobody_are_refused(files, tmp_path):
    cut = tmp_path / "cut.h5"
    cut.write_bytes(files[1].read_bytes()[:30_000])
    nobody = still_windows(tmp_path / "nobody.h5", 0)
    for windows, match in (
        (cut, "cut.h5: expected a whole HDF5 windows file, found something else or a damaged"),
        (nobody, "nobody.h5: expected a set of test .got 'train'."),
    ):
        with pytest.raises(ValueError, match=match):
            auto((files[0], windows), tmp_path / "x.h5")
        assert sorted(tmp_path.iterdir()) == [cut, nobody]


@pytest.mark.slow
def test_a_search_that_is_killed_is_begun_anew(files, tmp_path, monkeypatch):
    calls, original = [], DeepSHAP.by_row

    def killed(*given):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt("killed")
        return original(*given)

    monkeypatch.setattr(DeepSHAP, "by_row", killed)
    with pytest.raises(KeyboardInterrupt, match="killed"):
        auto(files, tmp_path / "x.h5")
    assert list(tmp_path.iterdir()) == []
    path, (said, *_) = auto(files, tmp_path / "x.h5")
    assert len(calls) > 3
    assert said.startswith(f"background auto: {told(path)['background_auto']['rows']} of 48 rows")


def test_a_number_says_what_it_was_found_by():
    given = {"by": "herding", "pilots": ["a"], "job": ""}
    one = FoundRows(
        57, 430, tolerance=0.1, errors={"57": 0.071}, joint_errors={"57": 0.02}, **given
    )
    assert str(one) == (
        "background auto: 57 of 430 rows by herding, expected error 7.1% (joint scores 2.0%)"
    )
    few = FoundRows(12, 12, tolerance=0.1, errors={"12": 0}, joint_errors={"12": 0}, **given)
    assert str(few) == "background auto: all 12 rows, there are no more"
    more = FoundRows(9, 99, tolerance=0.1, errors={"9": 0.2}, joint_errors={"9": 0.1}, **given)
    assert str(more).endswith(": the tolerance of 10.0% needs more than herding takes")


def test_sizes_grow_to_all(monkeypatch):
    monkeypatch.setattr(auto_background, "LEAST", 40)
    monkeypatch.setattr(auto_background, "GROWTH", 2**0.25)
    assert auto_background._sizes(39) == [39]
    assert auto_background._sizes(40) == [40]
    assert auto_background._sizes(70) == [40, 48, 57, 67, 70]
    assert auto_background._sizes(160)[-3:] == [113, 135, 160]
    assert auto_background._sizes(161)[-2:] == [160, 161]


@pytest.mark.slow
def test_rows_of_one_class_and_a_contrast(files, tmp_path):
    path, _ = auto(
        files, tmp_path / "x.h5", background_class=["class1"], target="class0", versus="class2"
    )
    found = told(path)["background_auto"]
    assert 6 <= found["rows"] <= found["total"] == 16
    assert load_model(files[0]).classes[0] == "class0"


def measured(by_row: np.ndarray, orders: list[np.ndarray], n: int, spread=None) -> np.ndarray:
    """Return error, expected error and coverage of 95%, over backgrounds of n rows of all."""
    mean, total = by_row.mean(axis=1), by_row.shape[1]
    found = []
    for order in orders:
        some = by_row[:, order[:n]]
        miss = some.mean(axis=1) - mean
        error = standard_errors(some, total, None if spread is None else spread[order[:n]])
        inside = np.mean(np.abs(miss) <= 1.96 * error)
        found.append([relative_error(by_row, miss) ** 2, relative_error(some, error) ** 2, inside])
    square, expected, inside = np.mean(found, axis=0)
    return np.array([np.sqrt(square), np.sqrt(expected), inside])


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "pilots", "n"), [("mini_rgbd_planted", 6, 25), ("utd_mhad", 4, 33)]
)
def test_errors_on_real_recordings(name, pilots, n, data_root, tmp_path):
    """Against all rows: expected errors are real ones; n herded rows tell joints as 3 n random."""
    own = read_experiment(experiments(ROOT)[name])
    (arguments,) = [arguments for command, arguments in own.steps if command == "prepare"]
    path = tmp_path / "w.h5"
    prepare(data_root / own.recordings, path, own.extends, **arguments)
    data, model = Windows.open(path), load_model(own.checkpoint)
    train, test = data.subset("train"), data.subset("test")
    some = np.sort(np.random.default_rng(7).permutation(len(test))[:pilots])
    x = model.inputs(test.subset(some).read())
    maps = DeepSHAP(model.inputs(train.read())).by_row(model, x, model(x).argmax(1).detach())
    said = answers(model, train)
    herded, drawn = (
        [in_order(said, train.label, how, seed) for seed in range(10)]
        for how in ("herding", "random")
    )
    for by_row in (maps, maps.mean(axis=2)):
        for size in (40, 60):
            for orders, spread in ((herded, said), (drawn, None)):
                error, expected, inside = measured(by_row, orders, size, spread)
                assert 0.75 * error < expected < 2 * error
                assert 0.86 < inside < 0.995
        assert measured(by_row, herded, 40)[0] < measured(by_row, drawn, 40)[0]
    joints = maps.mean(axis=2)
    assert measured(joints, herded, n)[0] < measured(joints, drawn, 3 * n)[0]
