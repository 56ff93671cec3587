from __future__ import annotations

import json

import pytest
from fixtures.fake_explanations import shap_like

from hargcn.analysis.asked import asked_name, class_name


def asked(targets, others=None, **request):
    made = shap_like(len(targets), targets=targets)
    made = made if others is None else made.assign({"versus": others})
    return made.assign(classes='["wave", "clap", "sit"]', request=json.dumps(request))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (asked([1, 1]), "clap"),
        (asked([1, 2]), "2 classes"),
        (asked([1, 2], target="predicted"), "the predicted class"),
        (asked([1, 2], target="second"), "the second most probable class"),
        (asked([1], target="second"), "clap, the second most probable class"),
        (asked([1], target="predicted"), "clap"),
        (asked([0, 0], [1, 1], target="wave", versus="clap"), "wave rather than clap"),
        (asked([0], [1], target="second", versus="predicted"), "wave rather than clap"),
        (
            asked([0, 1], [1, 0], target="predicted", versus="second"),
            "the predicted class rather than the second most probable class",
        ),
        (
            asked([0, 0], [1, 2], target="wave", versus="least"),
            "wave rather than the least probable class",
        ),
        (asked([0, 0], [1, 2]), "wave rather than 2 classes"),
        (asked([1, 2], target="label").assign(outputs="{}"), "the true output"),
    ],
)
def test_the_question_in_words(made, said):
    assert asked_name(made) == said


def test_a_class_without_a_name_has_a_number():
    made = shap_like(2)
    assert class_name(made, 1) == "class 1"
    assert class_name(made.assign(classes='["wave", "clap"]'), 1) == "clap"
