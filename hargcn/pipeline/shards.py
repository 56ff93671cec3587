"""A long job in shards that are whole or absent, so that a killed run goes on where it stopped.

One process at a time works on a job (`files.locked`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from hargcn import hdf5, remote
from hargcn.explanation import FORMAT, WHAT, Explanation
from hargcn.files import at_hand, digest, lock_beside, locked, replacing, sweep, temporary_name
from hargcn.pipeline.joining import join

_JOB = "hargcn-job.json"
_PATIENCE = 60  # seconds that a folder takes to be begun, at most


class Shards:
    """The shards of a job in a folder beside its result, which several processes may fill.

    Nothing is written, and another job's shards stay, until `begin`, or the first shard of this job
    is made.

    Parameters
    ----------
    folder
        Where they lie; a folder that is not a job's is never touched.
    job
        Everything that shapes the result; shards of another job are not used.
    count
        How many shards make the whole.

    Raises
    ------
    ValueError
        For an existing folder that no job made.
    """

    def __init__(self, folder: Path, job: Mapping[str, Any], count: int) -> None:
        self.folder, self.count = folder, count
        text = json.dumps({**job, "shards": count}, sort_keys=True, default=str)
        self.mark = hashlib.sha256(text.encode()).hexdigest()
        mine = folder / _JOB
        empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
        if not empty and not mine.is_file():
            raise ValueError(f"{folder}: expected a job's folder or none (it is somebody's own)")
        self.ours = self._marked()

    def finished(self, out: Path, layers: Sequence[str]) -> list[Path]:
        """Return the files of this job where all are there and whole, else none.

        Shards that a kill left behind finished files are removed.
        """
        files = list(outputs(out, layers).values())
        if not all(job_of(file) == self.mark for file in files):
            return []
        self.end()
        return files

    def done(self, number: int) -> bool:
        """Whether a shard is whole: it is noted when the files of all layers are there."""
        return self.ours and self._note(number).is_file()

    def add(self, number: int, made: Mapping[str, Explanation]) -> None:
        """Write a shard, a file per layer, and note their digests."""
        self.write(number, {name: each.assign(job=self.mark).save for name, each in made.items()})

    def write(self, number: int, files: Mapping[str, Callable[[Path], Any]]) -> None:
        """Let each file of a shard, by name, be written, and note their digests."""
        self.begin()
        if not self._marked():
            raise ValueError(
                f"{self.folder}: expected the folder of this job (got another, or none: somebody "
                "removed it, or this machine does not share it)"
            )
        digests = {}
        for name, save in files.items():
            path = self._file(number, name)
            save(path)
            digests[name] = digest(path)
        _write(self._note(number), json.dumps(digests))

    def files(self) -> dict[str, list[Path]]:
        """Return the files of all shards in their order, by name.

        Raises
        ------
        ValueError
            For a shard that is missing or not as it was written; the others stay.
        """
        lost = [i for i in range(self.count) if not self.done(i)]
        if lost:
            raise ValueError(f"{self.folder}: expected {self.count} shards (no number {lost[0]})")
        notes = [json.loads(self._note(i).read_text(encoding="utf-8")) for i in range(self.count)]
        found = {name: [self._file(i, name) for i in range(self.count)] for name in notes[0]}
        for name, files in found.items():
            for file, note in zip(files, notes, strict=True):
                if not file.is_file() or digest(file) != note.get(name):
                    raise ValueError(
                        f"{file}: expected the shard that was written (it has changed); "
                        f"remove {self.folder} to begin again"
                    )
        return found

    def join(
        self,
        out: Path,
        meet: Callable[[Path, Explanation], None] | None = None,
        met: Container[int] = (),
    ) -> dict[str, Path]:
        """Join the shards layer by layer into `out`, and remove them when all are written.

        One shard at a time is in memory.

        Parameters
        ----------
        out
            The file to write; layers beyond one have their names before the suffix.
        meet
            Gets each shard's explanation, and the file that it goes to.
        met
            Numbers of shards that it knows already: they are not read again.

        Raises
        ------
        ValueError
            As `files`.
        """
        found = self.files()
        written = outputs(out, list(found))
        for layer, files in found.items():
            for number, file in enumerate(files):
                if meet is not None and number not in met:
                    meet(written[layer], Explanation.open(file))
            with replacing(written[layer]) as temporary:
                if self.count == 1:  # is the whole: a copy, or a kill would lose the shard
                    shutil.copyfile(files[0], temporary)
                else:
                    join(files, temporary, "sample")
        self.end()
        return written

    def begin(self) -> None:
        """Replace another job's folder by an empty one; it is marked when it gets its name."""
        if self.ours:
            return
        with locked(self.folder, _PATIENCE):  # parts of a job begin together
            self.ours = self._marked()
            if self.ours:
                return
            if self.folder.exists():
                self._remove()
            begun = temporary_name(self.folder)
            begun.mkdir()
            (begun / _JOB).write_text(self.mark, encoding="utf-8")
            begun.rename(self.folder)
            self.ours = True

    def _marked(self) -> bool:
        mine = self.folder / _JOB
        return mine.is_file() and mine.read_text(encoding="utf-8") == self.mark

    def end(self) -> None:
        """Remove everything of a job that is done, also what kills left."""
        sweep(self.folder)
        if self.ours:
            self._remove()
        lock_beside(self.folder).unlink(missing_ok=True)

    def _remove(self) -> None:
        """Remove the folder: under another name at once, a kill leaves nothing like shards."""
        gone = temporary_name(self.folder)
        self.folder.rename(gone)
        shutil.rmtree(gone)

    def _note(self, number: int) -> Path:
        return self.folder / f"{number:05d}.done"

    def _file(self, number: int, layer: str) -> Path:
        return self.folder / f"{number:05d}{'.' if layer else ''}{layer}.h5"


def parts_of(out: Path) -> Path:
    """Return the folder of a result's shards: beside it, or in the working folder for a URL."""
    here = at_hand(out)
    return here.with_name(f"{here.name}.parts")


def outputs(out: Path, layers: Sequence[str]) -> dict[str, Path]:
    """Return the file of each layer: `out`, or with several layers their names in its name."""
    if len(layers) < 2:
        return dict.fromkeys(layers, out)
    return {layer: out.with_name(f"{out.stem}.{layer}{out.suffix}") for layer in layers}


def job_of(path: Path) -> str:
    """Return which job made a file; nothing for one that is not there or not whole."""
    if not remote.is_file(path):
        return ""
    try:
        with hdf5.checked(path, WHAT, FORMAT, "explain") as file:
            return str(file.attrs.get("job", ""))
    except ValueError:  # something else, which the result will replace
        return ""


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
