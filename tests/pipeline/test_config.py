from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.published import CP29, NTU60

from hargcn.checks import checked
from hargcn.data.preprocess import PRESETS
from hargcn.data.splits import SplitConfig
from hargcn.networks.convert import model_config
from hargcn.pipeline.config import ExperimentConfig, PrepareConfig, read_config

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
FILES = sorted(CONFIGS.glob("*.yaml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_published_experiments_are_valid(path):
    config = read_config(path)
    assert config.windows is not None
    assert read_config(path, ["train.seed=7"]).train.seed == 7


@pytest.mark.parametrize(
    ("name", "choices"), [("published_ntu60_xview", NTU60), ("published_cp29", CP29)]
)
def test_the_published_networks_are_configs(name, choices):
    assert read_config(CONFIGS / f"{name}.yaml").model == model_config(choices)


def test_the_published_ntu_network_asks_for_the_published_preparation():
    prepare = read_config(CONFIGS / "published_ntu60_xview.yaml").prepare
    assert prepare.preprocess == PRESETS["ntu-published"]


def test_nothing_set_gives_the_defaults(tmp_path):
    assert read_config(None) == ExperimentConfig()
    assert read_config(written(tmp_path, "# nothing yet\n")) == ExperimentConfig()
    assert read_config(written(tmp_path, "train: {}\n")) == ExperimentConfig()


def test_changes_win_over_the_file_and_the_file_over_defaults(tmp_path):
    path = written(tmp_path, "train: {epochs: 3, seed: 2}\nmodel:\n")
    defaults = {"train": {"epochs": 1, "lr": 0.5}, "prepare": {"windows": {"length": 20}}}
    with pytest.raises(ValueError, match="model: Input should be"):
        read_config(path)
    config = read_config(
        path, ["train.seed=9", "model.width=8", "prepare.windows.overlap=5"], defaults
    )
    train, windows = config.train, config.prepare.windows
    assert (train.epochs, train.seed, train.lr, config.model.width) == (3, 9, 0.5, 8)
    assert (windows.length, windows.overlap) == (20, 5)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("train.lr=1e-3", 0.001),  # YAML reads this as text
        ("train.lr=0.5", 0.5),
        ("train.class_weights=[1, 2.5]", (1.0, 2.5)),
        ("train.class_weights=balanced", "balanced"),
        ("train.augment=null", None),
    ],
)
def test_values_are_yaml(change, expected):
    key = change.partition("=")[0].removeprefix("train.")
    assert getattr(read_config(None, [change]).train, key) == expected


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("trian.epochs=1", "unknown key 'trian'; did you mean 'train'?"),
        ("train.epoch=1", "unknown key 'train.epoch'; did you mean 'epochs'?"),
        ("model.main.blokcs=1", "'model.main.blokcs'; did you mean 'blocks'?"),
        ("train.augment.rotaton=1", "'train.augment.rotaton'; did you mean 'rotation'?"),
        ("prepare.preprocess.medain=3", "'prepare.preprocess.medain'; did you mean 'median'?"),
        ("prepare.plant.clip.lenght=3", "'prepare.plant.clip.lenght'; did you mean 'length'?"),
        (
            "prepare.plant.classes={a: null, b: {knid: tremor}}",
            "'prepare.plant.classes.b.knid'; did you mean 'kind'?",
        ),
        (
            "prepare.synthetic.plant.distractorz=3",
            "'prepare.synthetic.plant.distractorz'; did you mean 'distractors'?",
        ),
        (
            "prepare={format: ntu, reader: {persns: 1}}",
            "prepare.reader: ntu: unknown key 'persns'; did you mean 'persons'?",
        ),
        ("zzz=1", "unknown key 'zzz'; valid are windows, prepare, model, train"),
    ],
)
def test_unknown_keys_get_the_nearest_valid_one_at_every_depth(change, hint):
    with pytest.raises(ValueError, match="--set: .*unknown key") as error:
        read_config(None, [change])
    assert hint in str(error.value)


def test_all_defects_come_in_one_line_that_names_the_file(tmp_path):
    path = written(
        tmp_path,
        "train: {epochs: 0, lr: fast, epohcs: 3}\nmodel: {width: 2}\n"
        "prepare: {preprocess: cpp, windows: {length: 10, overlap: 10}}\n",
    )
    with pytest.raises(ValueError, match="own.yaml: ") as error:
        read_config(path)
    line = str(error.value)
    assert "\n" not in line
    for defect in (
        "train.epochs: Input should be greater than or equal to 1 (got 0)",
        "train.lr: Input should be a valid number",
        "unknown key 'train.epohcs'; did you mean 'epochs'?",
        "model.width",
        "prepare.preprocess: Expected a chain of none, ntu",
        "did you mean 'cp'?",
        "prepare.windows: Expected an overlap below the length 10 (got 10)",
    ):
        assert defect in line
    assert "Value error" not in line


def test_a_setting_of_several_types_is_named_by_its_key():
    with pytest.raises(
        ValueError, match="train.class_weights: Input should be 'balanced'"
    ) as error:
        read_config(None, ["train.class_weights=equal"])
    assert "literal[" not in str(error.value)


def test_the_source_of_a_defect_is_named(tmp_path):
    path = written(tmp_path, "windows: x.h5\n")
    with pytest.raises(ValueError, match=r"own\.yaml with --set: unknown key"):
        read_config(path, ["trian.epochs=1"])
    with pytest.raises(ValueError, match="here: overlap: Input should be"):
        checked(type(PrepareConfig().windows), {"overlap": -1}, "here")


@pytest.mark.parametrize("change", ["train.epochs", "=3", ""])
def test_a_change_needs_a_key_and_a_value(change):
    with pytest.raises(ValueError, match=r"--set: expected key\.sub=value"):
        read_config(None, [change])


def test_values_that_are_no_yaml_and_keys_below_values_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"--set train\.lr=\[1: expected YAML"):
        read_config(None, ["train.lr=[1"])
    path = written(tmp_path, "train: {epochs: 3}\n")
    with pytest.raises(ValueError, match="epochs holds a value, not further keys"):
        read_config(path, ["train.epochs.last=3"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "expected YAML"),
        ("- 1\n- 2\n", r"expected keys and values \(got a list\)"),
        ("just text", r"expected keys and values \(got a str\)"),
    ],
)
def test_files_that_are_no_experiment_are_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf"own\.yaml: {message}"):
        read_config(written(tmp_path, content))


def test_files_that_are_not_there_are_refused(tmp_path):
    for path in (tmp_path / "no.yaml", tmp_path):
        with pytest.raises(FileNotFoundError, match="no such experiment file"):
            read_config(path)
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.yaml: expected YAML"):
        read_config(path)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_preprocessing_by_name_or_by_its_settings(name):
    by_name = PrepareConfig(preprocess=name)
    assert by_name.preprocess == PRESETS[name]
    assert PrepareConfig(preprocess=PRESETS[name].model_dump()) == by_name


def test_a_published_split_by_name_or_with_more():
    named = read_config(None, ["prepare.split=xview"]).prepare.split
    assert named == SplitConfig(published="xview")
    more = read_config(None, ["prepare.split=xview", "prepare.split.val_share=0.1"]).prepare.split
    assert more == SplitConfig(published="xview", val_share=0.1)


def test_unknown_formats_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"prepare.format: Expected format of .*mean 'ntu'\?"):
        read_config(None, ["prepare.format=ntuu"])


def test_a_defect_is_told_in_a_short_line_whatever_the_file_holds(tmp_path):
    many = "".join(f"key{i}: [{'x' * 40}]\n" for i in range(900))
    value = f"train: {{epochs: [{'long, ' * 2000}]}}\n"
    for text, said in [
        (many, "and 890 more"),
        (value, r"train.epochs: .*\.\.\."),
        (f"{'k' * 900}: 1", "unknown key 'kkk"),
    ]:
        with pytest.raises(ValueError, match=said) as no:
            read_config(written(tmp_path, text))
        assert len(str(no.value)) < 3000


@pytest.mark.parametrize("change", ["train=" + "[" * 5000, ".".join("a" * 5000) + "=1"])
def test_deep_changes_are_refused_in_a_short_line(change):
    with pytest.raises(ValueError, match="^--set") as no:
        read_config(None, [change])
    assert len(str(no.value)) < 400
