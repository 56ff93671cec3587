from __future__ import annotations

import pytest
import torch
import typer
from typer.testing import CliRunner

from hargcn.cli.options import Device, table, writable


def chosen(device: str) -> str:
    app = typer.Typer()

    @app.command()
    def show(device: Device = "cpu") -> None:
        typer.echo(device)

    ended = CliRunner().invoke(app, ["--device", device], catch_exceptions=False)
    return ended.stdout.strip()


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "tpu", "cuda:x", "CPU", ""])
def test_devices_that_are_not_there_are_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match=rf"--device: expected cpu.*got '{name}'"):
        chosen(name)


def test_devices_that_are_there_are_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("cpu", "cuda", "cuda:1"):
        assert chosen(name) == name
    with pytest.raises(ValueError, match=r"2 CUDA devices are here \(got 'cuda:2'\)"):
        chosen("cuda:2")


def test_tables_hold_their_title_and_cells(capsys):
    table("title", ["name", "value"], [["first", "1.5"], ["second", "22.5"]])
    said = capsys.readouterr().out
    for text in ("title", "name", "value", "first", "second"):
        assert text in said
    rows = [line for line in said.splitlines() if "5 " in line]
    assert rows[0].index("1.5") == rows[1].index("2.5")  # numbers end at the same place


def test_outputs_that_cannot_be_are_refused_before_anything_runs(tmp_path):
    given, block = tmp_path / "in.h5", tmp_path / "file"
    given.write_text("", "utf-8")
    block.write_text("", "utf-8")
    writable(tmp_path / "new" / "deep" / "out.h5", given, suffix=".h5")
    for out, said in [
        (tmp_path, "it is a folder"),
        (block / "deep" / "x.h5", "file is a file"),
        (tmp_path / "." / "in.h5", "another file than the input"),
    ]:
        with pytest.raises(ValueError, match=said):
            writable(out, given)
    with pytest.raises(ValueError, match="ending in .csv"):
        writable(tmp_path / "x.png", suffix=".csv")
