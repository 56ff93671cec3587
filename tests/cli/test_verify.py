from __future__ import annotations

import json

import h5py
from fixtures.command_line import done, refused


def test_whole_files_are_said_to_be_whole(waving, checkpoint, gradcams):
    assert done("verify", waving) == f"{waving}: whole (48 windows)\n"
    assert done("verify", gradcams[0]) == f"{gradcams[0]}: whole (12 explanations)\n"
    for file in (checkpoint, checkpoint.with_suffix(".json")):
        assert "parameters on inmotion19)" in done("verify", file)


def test_damage_is_said_in_one_line(waving, checkpoint, gradcams, tmp_path):
    for whole, name in ((waving, "positions"), (gradcams[0], "attribution")):
        with h5py.File(whole) as file:
            chunk = file[name].id.get_chunk_info(0)
        content = bytearray(whole.read_bytes())
        content[chunk.byte_offset + 5] ^= 1
        bad = tmp_path / "bad.h5"
        bad.write_bytes(content)
        said = refused("verify", bad)
        assert said.startswith(f"{bad}: expected the chunks that were written")
        assert f"damaged one in {name}:" in said
    bad = tmp_path / "model.safetensors"
    weights = bytearray(checkpoint.read_bytes())
    weights[-1] ^= 1
    bad.write_bytes(weights)
    bad.with_suffix(".json").write_bytes(checkpoint.with_suffix(".json").read_bytes())
    assert "expected the weights its card describes" in refused("verify", bad)


def test_what_is_not_ours_or_too_old_is_refused(tmp_path, checkpoint):
    path = tmp_path / "x.h5"
    assert refused("verify", path) == f"{path}: no such file of hargcn"
    path.write_text("text", encoding="utf-8")
    assert "expected a whole HDF5 file of hargcn" in refused("verify", path)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "hargcn-windows"
    assert "an earlier hargcn did (make it anew)" in refused("verify", path)
    card = json.loads(checkpoint.with_suffix(".json").read_text(encoding="utf-8"))
    old = tmp_path / "model.safetensors"
    old.write_bytes(checkpoint.read_bytes())
    old.with_suffix(".json").write_text(json.dumps({**card, "format": "hargcn-model-1"}))
    assert "make it anew with `hargcn train`" in refused("verify", old)
