"""A student and its teacher: two losses worked out otherwise, and their gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model, traces

from hargcn.data.windows import Windows
from hargcn.explainers import methods
from hargcn.networks.checkpoint import save_model
from hargcn.networks.stgcn import MultiBranchSTGCN
from hargcn.training.distillation import (
    DistilConfig,
    Distillation,
    differentiable,
    distance,
    shapley_map,
    softened,
)
from hargcn.training.optimisation import TrainConfig
from hargcn.training.trainer import Trainer

METHODS = ["gradcam", "gradcam++", "layercam", "hirescam", "shapleycam", "shapcam"]


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    return moving_windows(tmp_path_factory.mktemp("students") / "w.h5", groups=3, per_group=1)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, windows: Windows) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    return save_model(small_model(classes=3, seed=5), path, {"input": windows.preparation})


def student_of(seed: int = 1) -> MultiBranchSTGCN:
    return small_model(classes=3, seed=seed, branches=("V",), last_width=6, dropout=0.0)


def some(windows: Windows, n: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    batch = windows.subset(np.arange(n)).read()
    labels = torch.arange(n) % 3
    return torch.from_numpy(batch.positions), torch.from_numpy(batch.valid), labels


def asked(distil: Distillation, model: MultiBranchSTGCN, given: tuple) -> dict[str, torch.Tensor]:
    positions, valid, labels = given
    with distil.heard(model) as seen:
        logits = model(model.features(positions, valid))
    draw = torch.Generator().manual_seed(3)
    return distil(model, seen["activation"], logits, positions, valid, labels, draw)


def test_softened_probabilities_are_compared_by_kl() -> None:
    own, theirs = torch.randn(5, 4).double(), torch.randn(5, 4).double()
    p, q = ((each / 4).softmax(1) for each in (theirs, own))
    expected = 16 * (p * (p / q).log()).sum(1).mean()
    assert float(softened(own, theirs, 4)) == pytest.approx(float(expected), rel=1e-9)
    assert float(softened(own, own, 4)) == pytest.approx(0, abs=1e-9)


def test_the_distance_of_maps_knows_no_size_and_meets_at_the_coarser_grid() -> None:
    one = torch.tensor([[[[3.0, 0.0]]], [[[1.0, 0.0]]]])
    other = torch.tensor([[[[0.0, 7.0]]], [[[5.0, 0.0]]]])
    assert float(distance(one, other)) == pytest.approx((1 + 0) / 2)
    assert float(distance(one, -one)) == pytest.approx(2)
    fine = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])  # two cells of time, whose mean is 2, 3
    coarse = torch.tensor([[[[4.0, 6.0]]]])
    assert float(distance(fine, coarse)) == pytest.approx(0, abs=1e-6)
    assert float(distance(one * 0, other)) == 1


@pytest.mark.parametrize("name", [each for each in METHODS if each != "shapcam"])
@pytest.mark.parametrize("layer", [None, "main.0.gcn"])
def test_the_maps_are_those_of_the_explainers(
    windows: Windows, teacher: Path, name: str, layer: str
) -> None:
    student = student_of()
    given = some(windows)
    layer = layer if name != "shapleycam" else None
    distil = Distillation(
        DistilConfig(teacher=teacher, weight=0, maps=name, layer=layer), student, windows
    )
    before = traces(student), traces(distil.teacher)
    found = asked(distil, student, given)
    assert (traces(student), traces(distil.teacher)) == before
    explainer = methods()[name](layer or "main.1.attention")
    maps = [
        explainer(model, model.features(*given[:2]), given[2]).values.to_numpy()
        for model in (student, distil.teacher)
    ]
    a, b = (each.reshape(4, -1).astype(float) for each in maps)
    cosine = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
    assert list(found) == ["maps"]
    assert float(found["maps"].detach()) == pytest.approx(1 - cosine.mean(), abs=1e-5)


def test_shapley_values_are_those_of_shap_cam(windows: Windows) -> None:
    model = student_of().double()
    layer = model.layer_names()[-1]
    positions, valid, labels = some(windows, 2)
    x = model.features(positions[:, :, :8], valid[:, :8]).double()
    explainer = methods()["shapcam"](layer, permutations=400, players="cells")
    exact = explainer(model, x, labels)
    values = exact.values.transpose("sample", "person", "time", "joint").to_numpy()
    raw = []
    handle = model.get_layer(layer).register_forward_hook(lambda *call: raw.append(call[2]))
    logits = model(x)
    handle.remove()
    cells = values[0].size
    draw = torch.Generator().manual_seed(1234)
    orders = torch.stack([torch.randperm(cells, generator=draw) for _ in range(200)])
    orders = torch.cat([orders, orders.flip(1)])
    found = shapley_map(model, layer, raw[0], logits, labels, orders).detach().numpy()
    error = exact.dataset["standard_error"].to_numpy().max()
    assert error < 0.1 * np.abs(values).max()
    np.testing.assert_allclose(found, values, atol=6 * error)
    mean = model.unfold(layer, raw[0], 2).mean(dim=(1, 3, 4))
    start = torch.nn.functional.linear(mean, model.head.weight, model.head.bias)
    both = [each.softmax(1)[[0, 1], labels] for each in (logits, start)]
    np.testing.assert_allclose(
        found.reshape(2, -1).sum(1), (both[0] - both[1]).detach().numpy(), atol=1e-9
    )


@pytest.mark.parametrize("name", METHODS)
def test_gradients_of_the_losses_are_those_of_finite_differences(
    windows: Windows, teacher: Path, name: str
) -> None:
    student = student_of().double()
    student.train()
    positions, valid, labels = some(windows)
    layer = None if name.startswith("shap") else "main.0.tcn"
    config = DistilConfig(teacher=teacher, maps=name, layer=layer)
    distil = Distillation(config, student, windows)
    distil.teacher.double()

    def loss() -> torch.Tensor:
        return sum(asked(distil, student, (positions.double(), valid, labels)).values())

    whole = loss()
    whole.backward()
    names = ["V.stem.gcn.conv.weight", "V.0.gcn.edge", "head.weight", "main.0.gcn.conv.weight"]
    for each in names:
        parameter = dict(student.named_parameters())[each]
        at = int(parameter.grad.abs().argmax())
        sides = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                parameter.view(-1)[at] += step
            sides.append(float(loss().detach()))
            with torch.no_grad():
                parameter.view(-1)[at] -= step
        expected = (sides[0] - sides[1]) / 2e-6
        assert float(parameter.grad.view(-1)[at]) == pytest.approx(expected, rel=1e-4)
        assert abs(expected) > 1e-5
    assert all(p.grad is None for p in distil.teacher.parameters())


def trained(windows: Windows, distil: dict | None) -> Trainer:
    config = TrainConfig(epochs=3, batch_size=8, device="cpu", lr=0.01, distil=distil)
    run = Trainer(student_of, windows, config)
    while not run.finished:
        run.go_on(lambda _: None)
    return run


@pytest.mark.slow
def test_a_student_comes_closer_to_its_teacher(windows: Windows, teacher: Path) -> None:
    given = some(windows.subset("train"), 6)
    apart = {}
    for how in (None, {"teacher": teacher, "maps": "gradcam", "maps_weight": 5.0, "weight": 5.0}):
        run = trained(windows, how)
        both = DistilConfig(teacher=teacher, maps="gradcam")
        found = asked(Distillation(both, run.model, windows), run.model.eval(), given)
        apart[how is None] = {name: float(each.detach()) for name, each in found.items()}
        logged = {"train_distil", "train_maps"} & {*run.history[0]}
        assert len(logged) == (0 if how is None else 2)
    assert apart[False]["distil"] < apart[True]["distil"]
    assert apart[False]["maps"] < apart[True]["maps"]


def test_a_training_goes_on_with_the_same_teacher_only(
    windows: Windows, teacher: Path, tmp_path: Path
) -> None:
    run = trained(windows, {"teacher": teacher})
    torch.save(run.state(), tmp_path / "state.pt")
    other = save_model(small_model(classes=3, seed=6), tmp_path / "other.safetensors")
    for path in (teacher, other):
        again = TrainConfig(epochs=3, batch_size=8, device="cpu", lr=0.01,
                            distil={"teacher": path})  # fmt: skip
        resumed = Trainer(student_of, windows, again)
        if path == teacher:
            resumed.restore(tmp_path / "state.pt")
            assert resumed.epoch == 3
        else:
            with pytest.raises(ValueError, match=r"other: distil, teacher"):
                resumed.restore(tmp_path / "state.pt")


def test_teachers_of_other_questions_are_refused(
    windows: Windows, teacher: Path, tmp_path: Path
) -> None:
    student = student_of()
    made = {
        "skeleton": small_model("ntu25", classes=3),
        "classes": small_model(classes=4),
    }
    for what, model in made.items():
        path = save_model(model, tmp_path / "t.safetensors")
        with pytest.raises(ValueError, match=f"a teacher of the student's {what} "):
            Distillation(DistilConfig(teacher=path), student, windows)
    card = {"input": {**windows.preparation, "frames": 7}}
    path = save_model(small_model(classes=3), tmp_path / "t.safetensors", card)
    with pytest.raises(ValueError, match="a teacher of the student's windows' frames"):
        Distillation(DistilConfig(teacher=path), student, windows)
    with pytest.raises(FileNotFoundError):
        Distillation(DistilConfig(teacher=tmp_path / "no.safetensors"), student, windows)
    for name in ("shapcam", "shapleycam"):
        config = DistilConfig(teacher=teacher, maps=name, layer="main.0.tcn")
        with pytest.raises(ValueError, match=f"last layer of the student for .*maps={name} "):
            Distillation(config, student, windows)
    with pytest.raises(ValueError, match="train.distil.layer of the student"):
        Distillation(DistilConfig(teacher=teacher, layer="main.7.tcn"), student, windows)


def test_methods_without_gradients_of_weights_are_no_lesson() -> None:
    assert {*METHODS} <= {*differentiable()}
    assert not {"cam", "randomcam", "scorecam", "shap"} & {*differentiable()}
    with pytest.raises(ValueError, match="Expected train.distil.maps of .*got 'scorecam'"):
        DistilConfig(teacher="t.safetensors", maps="scorecam")
    with pytest.raises(ValueError, match="Expected a weight above 0 or maps"):
        DistilConfig(teacher="t.safetensors", weight=0)
