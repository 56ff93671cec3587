from __future__ import annotations

import sys

import pytest
import torch
from fixtures.own_networks import GCN, module_of, own_network
from safetensors.torch import save_file

from hargcn.data.windows import Windows
from hargcn.networks.factory import NetworkConfig, build_network
from hargcn.pipeline.config import read_config
from hargcn.pipeline.opening import open_network


@pytest.fixture
def make(tmp_path, waving):
    """Open the network of a module and what an experiment file says of it."""

    def made(code=GCN, **said):
        return open_network(own_network(tmp_path, waving, code, **said))

    return made


def returning(what):
    return f"{GCN}\n\ndef build(**choices):\n    {what}\n"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            {"factory": "no_such_module_of_mine:build"},
            r"expected the module 'no_such_.*' in /.*",
        ),
        ({"arguments": {"widht": 3}}, r"build raised TypeError: .*unexpected keyword .*'widht'"),
        ({"weights": "none.pt"}, r"none\.pt: no such file of weights \(looked in /.*, /"),
        (
            {"input_dims": ["sample", "time", "channel"]},
            "Expected input_dims that put sample, chan",
        ),
        ({"input_dims": ["channel", "sample", "time", "joint", "person"]}, "'sample' first"),
        (
            {"input_dims": ["sample", "person", "time", "joint", "channel"]},
            r"Expected a network that takes \(sample 2, person 1, time 16, joint 19, channel 2\)",
        ),
        ({"classes": ["a", "b"]}, r"Expected logits \(2, 2\) of the network.*\(got \(2, 3\)\)"),
        ({"skeleton": "ntu25"}, r"takes \(sample 2, channel 3, time 16, joint 25"),
        ({"skeleton": "inmotion9"}, "did you mean 'inmotion29'"),
        ({"branches": ["J"]}, r"Expected a network that takes \(sample 2, branch 1, channel 4"),
    ],
)
def test_what_a_file_says_wrong_is_one_line(make, said, expected):
    with pytest.raises((ValueError, FileNotFoundError), match=f"network: .*{expected}") as raised:
        make(**said)
    assert str(raised.value).partition(":")[0].endswith(".yaml")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def buidl():\n    pass", r"a function 'build' in .*\.py \(it has none; did.*'buidl'"),
        ("build = 3", r"a function 'build' in .*\.py \(it has none\)"),
        ("import no_such_package", r"importing own_network_\d+ raised ModuleNotFoundError: No mod"),
        ("def build(:", "raised SyntaxError"),
        ("raise SystemExit(3)", "raised SystemExit: 3"),
        ("def build():\n    raise KeyError('width')", "build raised KeyError: 'width'"),
        ("def build():\n    return {}", r"return a torch\.nn\.Module \(got a dict\)"),
        (returning("return Stream"), r"return a torch\.nn\.Module \(got a type\)"),
        (returning("return Stream(classes=4)"), r"Expected logits \(2, 3\).*\(got \(2, 4\)\)"),
        (returning("return Stream(joints=20)"), r"of input_dims \(RuntimeError: "),
        (
            returning(
                "class Two(Stream):\n        def forward(self, x):\n"
                "            return super().forward(x), x\n    return Two()"
            ),
            r"Expected logits.* \(got (tuple|\[0\])",
        ),
    ],
)
def test_what_code_does_wrong_is_one_line(make, code, expected):
    with pytest.raises(ValueError, match=rf"\.yaml: network: .*{expected}") as raised:
        make(code)
    assert "\n" not in str(raised.value)


def stream(waving, tmp_path, **choices):
    return open_network(own_network(tmp_path, waving, arguments=choices)).adapter.model


@pytest.fixture
def state(tmp_path, waving):
    """Weights of another width-6 network than the factory makes."""
    network = stream(waving, tmp_path)
    with torch.no_grad():
        network.head.weight.mul_(2)
    return network.state_dict()


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda s: s, {}),
        (lambda s: {"state_dict": s, "epoch": 3}, {"inside": "state_dict"}),
        (lambda s: {"a": {"b": s}}, {"inside": "a.b"}),
        (lambda s: {f"module.{k}": v for k, v in s.items()}, {"prefix": "module."}),
        (
            lambda s: {**{f"model.{k}": v for k, v in s.items()}, "loss.w": torch.zeros(2)},
            {"prefix": "model."},
        ),
    ],
    ids=["plain", "inside", "deeper", "prefix", "others-left"],
)
def test_weights_of_torch_files(make, state, tmp_path, wrap, said):
    torch.save(wrap(state), tmp_path / "w.pt")
    found = make(weights="w.pt", **said).adapter.model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())


@pytest.mark.parametrize(
    ("wrap", "said", "expected"),
    [
        (lambda s: {"state_dict": s, "epoch": 3}, {}, r"'state_dict', which is no whole tensor, it "
         r"has the keys state_dict, epoch\); `inside` names the key"),
        (lambda s: {"net": s}, {"inside": "state_dict"}, r"key 'state_dict' inside \(it has the "
         r"keys net\)"),
        (lambda s: {"net": s}, {"inside": "net.graph.deeper"}, r"'deeper' inside \(it is a Tensor"),
        (lambda s: list(s.values()), {}, r"expected weights by name \(got a list\)"),
        (lambda s: {f"module.{k}": v for k, v in s.items()}, {}, r"graph missing, .*all names "
         r"begin with 'module\.': is that the `prefix`\?"),
        (lambda s: s, {"prefix": "net."}, r"whose names begin with 'net\.' \(it has the keys gra"),
        (lambda s: {k: v for k, v in s.items() if "bias" not in k}, {}, r"3 do not fit: spatial\."
         r"bias missing"),
        (lambda s: {**s, "extra": torch.zeros(1)}, {}, r"1 do not fit: extra unknown"),
        (lambda s: {**s, "head.bias": torch.zeros(4)}, {}, r"1 do not fit: head\.bias \(4,\)"),
        (lambda s: {**s, "head.bias": torch.full((3,), torch.nan)}, {}, "NaN or infinity in head"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_one_line(make, state, tmp_path, wrap, said, expected):
    torch.save(wrap(state), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=rf"\.yaml: network: .*{expected}") as raised:
        make(weights="w.pt", **said)
    assert "\n" not in str(raised.value)


def test_weights_that_are_code_are_refused(make, tmp_path):
    torch.save(torch.nn.Linear(2, 3), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt: expected a torch checkpoint of plain tensors"):
        make(weights="w.pt")
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"w\.safetensors: expected safetensors"):
        make(weights="w.safetensors")
    with pytest.raises(ValueError, match="expected `inside` of a torch file only"):
        make(weights="w.safetensors", inside="state_dict")


def test_weights_are_those_of_the_network_inside_an_adapter(make, state, tmp_path):
    save_file(state, tmp_path / "w.safetensors")
    code = returning(
        "from hargcn.explainers import Adapter\n    return Adapter(Stream(), axis_names="
        "{'class': ['sit', 'stand', 'wave']})"
    )
    network = make(code, weights="w.safetensors")
    assert torch.equal(network.adapter.model.head.weight, state["head.weight"])
    assert network.classes == ("sit", "stand", "wave")
    assert make(code, classes=["a", "b", "c"]).classes == ("a", "b", "c")


def test_without_a_file_weights_are_the_same_every_time(waving, tmp_path):
    config = own_network(tmp_path, waving)
    torch.manual_seed(5)
    drawn = torch.get_rng_state()
    one, again = open_network(config), open_network(config)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert torch.equal(one.adapter.model.head.weight, again.adapter.model.head.weight)
    assert one.card["weights"] == again.card["weights"]
    assert len(one.card["weights"]) == 16


def test_a_digest_is_of_code_arguments_weights_and_order(tmp_path, waving):
    config = own_network(tmp_path, waving)
    text, code = config.read_text("utf-8"), module_of(config).read_text("utf-8")

    def digest(text=text, code=code):
        config.write_text(text, encoding="utf-8")
        module_of(config).write_text(code, encoding="utf-8")
        return open_network(config).card["weights"]

    one = digest()
    others = [
        digest(code=f"{code}\n# changed"),
        digest(text.replace("fps: 30.0", "arguments: {width: 7}")),
        digest(text.replace("fps: 30.0", "arguments: {classes: 3}")),
        digest(code=code.replace("+ torch.rand", "- torch.rand")),
        digest(
            text.replace("fps: 30.0", "input_dims: [sample, channel, joint, time, person]"),
            code.replace("samples, channels, frames, joints, persons = x", "x = x.transpose(2, 3)\n"
                         "        samples, channels, frames, joints, persons = x"),
        ),
    ]  # fmt: skip
    assert len({one, *others}) == 6
    assert digest() == one


def test_code_in_a_second_module_counts_and_is_read_anew(tmp_path, waving):
    config = own_network(
        tmp_path, waving, "from parts_of_it import Stream\n\ndef build():\n    return Stream()\n"
    )
    parts = tmp_path / "parts_of_it.py"
    parts.write_text(GCN, encoding="utf-8")
    one = open_network(config)
    parts.write_text(GCN.replace("width=6", "width=4"), encoding="utf-8")
    other = open_network(config)
    assert one.adapter.model.head.in_features == 6
    assert other.adapter.model.head.in_features == 4
    parts.write_text(f"{GCN}# said\n", encoding="utf-8")
    assert open_network(config).card["weights"] != one.card["weights"]


def test_two_folders_may_have_modules_of_one_name(tmp_path, waving):
    widths = []
    for width in (4, 5):
        folder = tmp_path / str(width)
        folder.mkdir()
        code = GCN.replace("width=6", f"width={width}")
        (folder / "alike.py").write_text(code, encoding="utf-8")
        config = NetworkConfig(factory="alike:build")
        made = build_network(config, folder / "x.yaml", Windows.open(waving))
        widths.append(made.adapter.model.head.in_features)
    assert widths == [4, 5]


def test_a_name_that_another_module_has_is_refused(tmp_path):
    (tmp_path / "pytest.py").write_text(GCN, encoding="utf-8")
    before = sys.modules["pytest"]
    with pytest.raises(ValueError, match=r"another name than 'pytest' for /.*: .* has it already"):
        build_network(NetworkConfig(factory="pytest:build"), tmp_path / "x.yaml")
    assert sys.modules["pytest"] is before


def test_a_module_is_found_beside_the_file_else_in_the_working_folder(
    tmp_path, waving, monkeypatch
):
    work, beside = tmp_path / "work", tmp_path / "beside"
    for folder, width in ((work, 4), (beside, 5)):
        folder.mkdir()
        code = GCN.replace("width=6", f"width={width}")
        (folder / "near.py").write_text(code, encoding="utf-8")
    path, windows = list(sys.path), Windows.open(waving)
    monkeypatch.chdir(work)
    for source, width in ((beside / "x.yaml", 5), (tmp_path / "x.yaml", 4)):
        made = build_network(NetworkConfig(factory="near:build"), source, windows)
        assert made.adapter.model.head.in_features == width
    assert sys.path == path


def test_a_package_makes_one_too(tmp_path, waving):
    (tmp_path / "of_mine" / "deep").mkdir(parents=True)
    (tmp_path / "of_mine" / "__init__.py").touch()
    (tmp_path / "of_mine" / "deep" / "__init__.py").write_text("from .gcn import build\n")
    (tmp_path / "of_mine" / "deep" / "gcn.py").write_text(GCN, encoding="utf-8")
    config = NetworkConfig(factory="of_mine.deep:build", arguments={"width": 3})
    made = build_network(config, tmp_path / "x.yaml", Windows.open(waving))
    assert made.layer_names() == ("spatial", "temporal")


def test_reading_a_file_imports_nothing(tmp_path, waving):
    config = own_network(tmp_path, waving, "raise SystemExit('run')\n")
    assert read_config(config).network.factory.endswith(":build")
    with pytest.raises(ValueError, match="raised SystemExit: run"):
        open_network(config)


def test_what_nobody_says_is_asked_for(tmp_path):
    (tmp_path / "bare.py").write_text(GCN, encoding="utf-8")
    for said, missing in (({}, "skeleton"), ({"skeleton": "inmotion19"}, "classes")):
        config = NetworkConfig(factory="bare:build", **said)
        with pytest.raises(ValueError, match=f"expected `{missing}`, or `windows` that have them"):
            build_network(config, tmp_path / "x.yaml")
    config = NetworkConfig(
        factory="bare:build", skeleton="inmotion19", classes=("a", "b", "c"), preprocessing="cp"
    )
    made = build_network(config, tmp_path / "x.yaml")
    assert made.shape == (2, 64, 19, 1)
    assert made.card["input"]["preprocessing"]["centre"] == "median"
    with pytest.raises(ValueError, match="did you mean 'utd-mhad'"):
        NetworkConfig(factory="bare:build", preprocessing="utd-mahd")
