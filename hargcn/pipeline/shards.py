"""A long job in shards that are whole or absent, so that a killed run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hargcn.explanation import Explanation
from hargcn.files import digest, replacing

_JOB = "hargcn-job.json"


class Shards:
    """The shards of a job in a folder beside its result.

    Nothing is written, and another job's shards stay, until the first shard of this job is made.

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
        self.ours = mine.is_file() and mine.read_text(encoding="utf-8") == self.mark

    def done(self, number: int) -> bool:
        """Whether a shard is whole: it is noted when the files of all layers are there."""
        return self.ours and self._note(number).is_file()

    def add(self, number: int, made: Mapping[str, Explanation]) -> None:
        """Write a shard, a file per layer, and note their digests."""
        if not self.ours:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            _write(self.folder / _JOB, self.mark)
            self.ours = True
        digests = {}
        for layer, explanation in made.items():
            path = self._file(number, layer)
            explanation.save(path)
            digests[layer] = digest(path)
        _write(self._note(number), json.dumps(digests))

    def join(self, out: Path) -> dict[str, Path]:
        """Join the shards layer by layer into `out`, and remove them when all are written.

        Layers beyond one have their names before the suffix.

        Raises
        ------
        ValueError
            For a shard that is missing or not as it was written; the others stay.
        """
        lost = [i for i in range(self.count) if not self.done(i)]
        if lost:
            raise ValueError(f"{self.folder}: expected {self.count} shards (no number {lost[0]})")
        notes = [json.loads(self._note(i).read_text(encoding="utf-8")) for i in range(self.count)]
        written = outputs(out, list(notes[0]))
        for layer in notes[0]:
            files = [self._file(i, layer) for i in range(self.count)]
            for file, note in zip(files, notes, strict=True):
                if not file.is_file() or digest(file) != note.get(layer):
                    raise ValueError(
                        f"{file}: expected the shard that was written (it has changed); "
                        f"remove {self.folder} to begin again"
                    )
            Explanation.concat([Explanation.open(file) for file in files]).save(written[layer])
        # Under another name at once: what a kill leaves of it is nobody's shards.
        gone = self.folder.with_name(f".{self.folder.name}.{os.getpid()}.tmp")
        self.folder.rename(gone)
        shutil.rmtree(gone)
        return written

    def _note(self, number: int) -> Path:
        return self.folder / f"{number:05d}.done"

    def _file(self, number: int, layer: str) -> Path:
        return self.folder / f"{number:05d}{'.' if layer else ''}{layer}.h5"


def outputs(out: Path, layers: Sequence[str]) -> dict[str, Path]:
    """Return the file of each layer: `out`, or with several layers their names in its name."""
    if len(layers) < 2:
        return dict.fromkeys(layers, out)
    return {layer: out.with_name(f"{out.stem}.{layer}{out.suffix}") for layer in layers}


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
