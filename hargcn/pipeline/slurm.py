"""A long explanation as an array job of Slurm: parts of it side by side, then what joins them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from hargcn.checks import at_least, writable
from hargcn.files import replacing

_SCRIPT = """#!/bin/sh
# `sh {name}` submits {parts} parts of an explanation, and what joins them; the same again goes on
# where they stopped.
set -eu
cd {folder}
export OMP_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-1}}"
case "${{1:-submit}}" in
part) exec {command} --part "$SLURM_ARRAY_TASK_ID/{parts}" ;;
join) exec {command} ;;
submit)
    array=$(sbatch --parsable --array=0-{last}{options} {script} part)
    sbatch --dependency="afterany:$array"{options} {script} join
    ;;
esac
"""


def write_array_job(
    words: Sequence[str], out: str | Path, parts: int, options: Sequence[str] = ()
) -> Path:
    """Write a script that submits a command as an array job, and another job that joins its parts.

    The last job also makes what a part left undone. All of them run in the folder where the script
    was written, with this Python, on storage that they share.

    Parameters
    ----------
    words
        A command of hargcn and its arguments: "explain", ...
    out
        The script.
    parts
        Jobs of the array.
    options
        Of `sbatch`, for both jobs, such as "--time=2:00:00".

    Raises
    ------
    ValueError
        For another command than explain, one of a part, or fewer than two parts.
    """
    if not words or words[0] != "explain" or "--part" in words:
        raise ValueError(
            f"Expected the command explain behind --, without --part (got {' '.join(words)!r})"
        )
    at_least("--parts", parts, 2)
    out = writable(out, suffix=".sh")
    text = _SCRIPT.format(
        name=out.name,
        script=shlex.quote(str(out.absolute())),
        parts=parts,
        last=parts - 1,
        folder=shlex.quote(str(Path.cwd())),
        command=shlex.join([sys.executable, "-m", "hargcn", *words]),
        options="".join(f" {shlex.quote(each)}" for each in options),
    )
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o755)
    return out
