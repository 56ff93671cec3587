"""Combining two explanations into a hybrid one."""

from __future__ import annotations

from pathlib import Path

from hargcn.checks import one_of, writable
from hargcn.explainers.hybrid import product, rank_average
from hargcn.explanation import Explanation
from hargcn.files import locked

FORMS = {"product": product, "rank": rank_average}


def combine(
    shap: str | Path, cam: str | Path, out: str | Path, *, form: str = "product"
) -> Explanation:
    """Combine two explanations of the same windows and classes.

    Parameters
    ----------
    shap, cam
        Files of an explanation of features and of a class activation map.
    out
        Explanation file to write.
    form
        "product": the features' values where the map is positive; "rank": mean of the ranks.

    Raises
    ------
    FileNotFoundError
        Without one of the files.
    ValueError
        For another form, or explanations that do not belong together.
    """
    combined = FORMS[one_of("form", form, FORMS)]
    out = writable(out, shap, cam)
    parts = [Explanation.open(path) for path in (shap, cam)]
    try:
        made = combined(*parts)
    except ValueError as error:
        raise ValueError(f"{shap} and {cam}: {error}") from error
    with locked(out):
        made.save(out)
    return made
