from __future__ import annotations

import pytest

from hargcn.data.readers import NAMES, reader


@pytest.mark.parametrize("name", NAMES)
def test_every_reader_reads_files_and_folders(name: str) -> None:
    module = reader(name)
    assert callable(module.read)
    assert callable(module.read_folder)


def test_unknown_reader() -> None:
    with pytest.raises(ValueError, match=r"Expected a reader of ntu, .* \(got 'kinetics'\)"):
        reader("kinetics")
