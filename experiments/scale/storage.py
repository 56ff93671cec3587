"""Measures how explanations are stored best, and what opening a large file reads.

`python experiments/scale/storage.py filters SHAP.h5` writes results/filters.csv, `... large FOLDER`
results/large.csv, for which it needs 10 GB of disk there and removes them, `... keep CHECKPOINT
WINDOWS FOLDER` results/keep.csv: what a file holds of a window, `... joined FOLDER`
results/joined.csv: the memory of joining. `PYTHONPATH=tests ... elsewhere FOLDER` writes
results/elsewhere.csv: what is asked of the tests' server for a windows file on it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from hargcn import hdf5
from hargcn.data.windows_file import AXES

RESULTS = Path(__file__).parent / "results"
FILTERS = {
    "none": {},
    "lzf": {"compression": "lzf"},
    "gzip 1": {"compression": "gzip", "compression_opts": 1},
    "gzip 4": {"compression": "gzip", "compression_opts": 4},
    "gzip 9": {"compression": "gzip", "compression_opts": 9},
}
ROUNDS = 5
LARGE = 10 * 2**30


def filters(shap: Path) -> None:
    """Store the attributions of a file in every way, in turns; the best of some rounds counts."""
    with h5py.File(shap) as file:
        values = file["attribution"][()]
    rows, out = [], shap.with_name("filters.tmp.h5")
    ways = [
        (name, shuffle, chunk)
        for name, shuffle, chunk in product(FILTERS, (False, True), (14, 17, 20))
        if not (name == "none" and shuffle)
    ]
    for _ in range(ROUNDS):
        for name, shuffle, chunk in ways:
            chunks = hdf5.chunks(values.shape, 4, 2**chunk)
            how = {**FILTERS[name], "shuffle": shuffle, "fletcher32": True, "chunks": chunks}
            began = time.process_time()
            with h5py.File(out, "w", libver=hdf5.LIBVER) as file:
                file.create_dataset("attribution", data=values, **how)
            wrote = time.process_time()
            with h5py.File(out) as file:
                file["attribution"][()]
                whole = time.process_time()
                stored = file["attribution"].id.get_storage_size()
                for row in range(len(values)):
                    file["attribution"][row]
            read = time.process_time()
            mb = values.nbytes / 1e6
            found = (mb / (wrote - began), mb / (whole - wrote), (read - whole) / len(values) * 1e3)
            rows.append((name, shuffle, 2 ** (chunk - 10), stored / values.nbytes, *found))
    out.unlink()
    keys = ["filter", "shuffle", "chunk_KiB", "size"]
    speeds = {"write_MB_s": "max", "read_MB_s": "max", "ms_per_sample": "min"}
    table = pd.DataFrame(rows, columns=[*keys, *speeds]).groupby(keys, sort=False).agg(speeds)
    table.reset_index().to_csv(RESULTS / "filters.csv", index=False, float_format="%.3g")


LOOK = """
import sys, time
from hargcn import Windows

def told():
    return int(open("/proc/self/io").read().split()[1]), time.time()

began = told()
windows = Windows.open(sys.argv[1])
opened = told()
windows.read([len(windows) // 2])
read = told()
for name, a, b in (("open", began, opened), ("read", opened, read)):
    print(name, (b[0] - a[0]) / 2**20, b[1] - a[1])
"""


def large(folder: Path) -> None:
    """Write windows of 64 frames x 25 joints x 2 persons; open them, and read one."""
    rows = []
    for count in (2**12, 2**16, LARGE // (3 * 64 * 25 * 2 * 4)):
        path = _windows(folder / "large.tmp.h5", count)
        size = path.stat().st_size / 2**20
        said = subprocess.run(
            [sys.executable, "-c", LOOK, path], capture_output=True, text=True, check=True
        )
        for line in said.stdout.splitlines():
            step, *figures = line.split()
            rows.append((count, size, step, *map(float, figures)))
        path.unlink()
    columns = ["windows", "file_MiB", "step", "read_MiB", "seconds"]
    pd.DataFrame(rows, columns=columns).to_csv(
        RESULTS / "large.csv", index=False, float_format="%.3g"
    )


def keep(checkpoint: str, windows: str, folder: Path) -> None:
    """Explain 32 windows and store what each `--keep` leaves."""
    from hargcn.pipeline.explain import explain

    rows, count = [], 32
    for kept, summed in (("full", ""), ("joint-time", "branches, channels"),
                         ("joint", "branches, channels, time")):  # fmt: skip
        out = folder / f"{kept}.h5"
        given = {"method": "shap", "background": 10, "limit": count, "keep": kept}
        explain(checkpoint, windows, out, **given)
        with h5py.File(out) as file:
            own = sum(file[name].id.get_storage_size() for name in ("positions", "state"))
        rows.append((kept, summed, out.stat().st_size / count / 1000, own / count / 1000))
    columns = ["keep", "sums_over", "file_kB", "window_kB"]
    pd.DataFrame(rows, columns=columns).to_csv(
        RESULTS / "keep.csv", index=False, float_format="%.3g"
    )


JOIN = """
import resource, sys
import numpy as np
from pathlib import Path
from hargcn import Explanation
from hargcn.pipeline.joining import join

values = np.random.default_rng(0).normal(size=(64, 500, 60)).astype("f4")
one = Explanation.build(
    values, ("sample", "time", "joint"), method="m", target=[0] * 64, score=[0.0] * 64
)
file = Path(sys.argv[1]) / "part.tmp.h5"
one.save(file)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
join([file] * int(sys.argv[2]), file.with_name("joined.tmp.h5"), "sample")
print(values.nbytes / 2**20, peak() - before)
"""


def joined(folder: Path) -> None:
    """Join some and many parts, each in a process of its own, and note how its memory grows."""
    rows = []
    for parts in (2, 40):
        said = subprocess.run(
            [sys.executable, "-c", JOIN, folder, str(parts)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        rows.append((parts, *map(float, said.stdout.split())))
    for name in ("part.tmp.h5", "joined.tmp.h5"):
        (folder / name).unlink()
    columns = ["parts", "part_MiB", "more_MiB"]
    pd.DataFrame(rows, columns=columns).to_csv(
        RESULTS / "joined.csv", index=False, float_format="%.3g"
    )


def elsewhere(folder: Path) -> None:
    """Open a windows file on a server and read one window of it; count requests and bytes."""
    from fixtures.object_store import object_store

    from hargcn import Windows

    path = _windows(folder / "elsewhere.tmp.h5", count := 2048)
    rows, size = [], path.stat().st_size / 2**20
    with object_store({"w.h5": path.read_bytes()}) as store:

        def told(step: str) -> None:
            rows.append((count, size, step, len(store.asked), store.sent / 2**20))
            store.asked.clear()
            store.sent = 0

        windows = Windows.open(store.url("w.h5"))
        told("open")
        windows.read([count // 2])
        told("read one window")
    path.unlink()
    columns = ["windows", "file_MiB", "step", "requests", "read_MiB"]
    pd.DataFrame(rows, columns=columns).to_csv(
        RESULTS / "elsewhere.csv", index=False, float_format="%.3g"
    )


def _windows(path: Path, count: int) -> Path:
    """Write a windows file of so many windows: one window's chunks again and again."""
    from hargcn.data.cutting import WindowConfig
    from hargcn.data.recording import Recording
    from hargcn.data.windows import write_windows
    from hargcn.skeleton import skeleton

    layout, draws = skeleton("ntu25"), np.random.default_rng(0)
    one = Recording(
        positions=draws.normal(size=(3, 64, 25, 2)), valid=np.ones((64, 2), bool), fps=30.0,
        skeleton=layout, sample="one", group="g", label=0,
    )  # fmt: skip
    cut = WindowConfig(length=64, overlap=32)
    small = write_windows(path.with_name("small.tmp.h5"), [one], ["a", "b"], cut)
    with h5py.File(small.path) as like, h5py.File(path, "w", libver=hdf5.LIBVER) as made:
        axes = {name: dims for name, dims in AXES.items() if name in like}
        for name in axes:
            if like[name].chunks is None:
                made.create_dataset(name, data=np.repeat(like[name][()], count, axis=0))
                continue
            each = like[name].chunks[0]
            data = made.create_dataset(
                name, (count, *like[name].shape[1:]), like[name].dtype, chunks=like[name].chunks,
                maxshape=like[name].maxshape, **hdf5.FILTERS,
            )  # fmt: skip
            data[:each] = np.repeat(like[name][()], each, axis=0)[:each]
            mask, content = data.id.read_direct_chunk((0,) * data.ndim)
            for row in range(0, count, each):
                data.id.write_direct_chunk((row, *(0,) * (data.ndim - 1)), content, mask)
        del made["start"]
        made["start"] = np.arange(count)
        for name in ("joint", "space"):
            made.create_dataset(name, data=like[name][()], dtype=like[name].dtype)
        hdf5.name_axes(made, axes)
        made.attrs.update(like.attrs)
    hdf5.seal(path)
    small.path.unlink()
    return path


if __name__ == "__main__":
    step, *given = sys.argv[1:]
    if step == "keep":
        keep(*given[:2], Path(given[2]))
    else:
        steps = {"filters": filters, "large": large, "joined": joined, "elsewhere": elsewhere}
        steps[step](Path(given[0]))
