"""The page of the ten minutes is walked as it is printed, by a user with a folder of videos."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path

import pytest
from fixtures.command_line import run
from fixtures.first_videos import first_videos

from hargcn.analysis.ranking import Ranking
from hargcn.explanation import Explanation

PAGE = Path(__file__).resolve().parents[1] / "docs" / "first-explanation.md"
TEN_MINUTES = 600.0


def steps() -> list[tuple[str, list[str]]]:
    """Commands of the page, each with the lines that it shows of their output."""
    found = re.findall(r"```sh\n(.*?)\n```\n\n```text\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    return [(command, shown.splitlines()) for command, shown in found]


def test_five_commands_are_enough():
    assert [shlex.split(command)[1] for command, _ in steps()] == [
        "init", "prepare", "train", "explain", "rank",
    ]  # fmt: skip
    # Each says what comes next, and that is what the page goes on with.
    for (_, shown), (command, _) in zip(steps(), steps()[1:], strict=False):
        assert f"next: {command}" in shown


@pytest.mark.slow
@pytest.mark.documents
def test_a_new_user_gets_there_in_ten_minutes(tmp_path, monkeypatch):
    first_videos(tmp_path)
    monkeypatch.chdir(tmp_path)
    begun = time.monotonic()
    for command, shown in steps():
        ended = run(*shlex.split(command)[1:])
        assert ended.code == 0, ended.err
        said = [line.strip() for line in (ended.out + ended.err).splitlines()]
        assert not [line for line in shown if line not in said]
    assert time.monotonic() - begun < TEN_MINUTES
    ranking = Ranking.of(Explanation.open("shap.h5"))
    assert ranking.features[0] == "right_wrist"
    assert min(Path(name).stat().st_size for name in ("ranking.png", "strip.png")) > 10_000
