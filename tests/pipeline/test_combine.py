from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fixtures.fake_explanations import cam_like, shap_like

from hargcn import Explanation
from hargcn.explainers.hybrid import product, rank_average
from hargcn.pipeline.combine import combine


@pytest.fixture
def files(tmp_path):
    paths = tmp_path / "shap.h5", tmp_path / "cam.h5"
    for path, made in zip(paths, (shap_like(), cam_like()), strict=True):
        made.save(path)
    return paths


@pytest.mark.parametrize(("form", "combined"), [("product", product), ("rank", rank_average)])
def test_files_combine_as_what_they_hold(files, tmp_path, form, combined):
    out = tmp_path / "out.h5"
    found = combine(*files, out, form=form)
    xr.testing.assert_allclose(found.values, combined(shap_like(), cam_like()).values)
    np.testing.assert_array_equal(Explanation.open(out).values, found.values)


def test_what_cannot_be_combined_is_refused(files, tmp_path):
    shap, cam = files
    out, other = tmp_path / "out.h5", tmp_path / "other.h5"
    with pytest.raises(ValueError, match=r"Expected form of product, rank \(got 'sum'\)"):
        combine(shap, cam, out, form="sum")
    cam_like(targets=np.ones(8, int)).save(other)
    with pytest.raises(ValueError, match=f"^{shap} and {other}: Expected .* the same classes"):
        combine(shap, other, out)
    with pytest.raises(ValueError, match="expected another file to write than an input"):
        combine(shap, cam, cam)
    assert not out.exists()
