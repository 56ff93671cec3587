from __future__ import annotations

import numpy as np
import pytest
import torch

from hargcn.explainers import Constant, DeepSHAP, GradCAM
from hargcn.explainers.targets import Later, class_numbers, named_classes
from hargcn.outputs import Outputs

LOGITS = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 1.0]])
CLASSES = ("sit", "stand", "wave")


@pytest.mark.parametrize(
    ("target", "numbers"),
    [(1, [1, 1]), ([2, 0], [2, 0]), (np.array([1, 0]), [1, 0]), (torch.tensor(2), [2, 2])],
)
def test_one_class_or_one_per_sample(target, numbers):
    assert class_numbers(target, LOGITS).tolist() == numbers


def test_a_target_may_be_chosen_when_logits_are_known():
    later = Later(lambda logits: logits.argmax(dim=1))
    assert class_numbers(later, LOGITS).tolist() == [1, 0]
    assert later.told.equal(LOGITS)


@pytest.mark.parametrize("target", [1.7, [0.5, 1.0], True, 1j])
def test_what_is_no_whole_number_is_refused(target):
    with pytest.raises(TypeError, match="Expected class numbers as targets"):
        class_numbers(target, LOGITS)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (-1, r"targets 0 to 2 \(got -1 to -1\)"),
        ([0, 3], r"targets 0 to 2 \(got 0 to 3\)"),
        ([0, 1, 2], r"one target, or 2 \(got shape \(3,\)\)"),
    ],
)
def test_what_is_no_class_is_refused(target, said):
    with pytest.raises(ValueError, match=said):
        class_numbers(target, LOGITS)


@pytest.mark.parametrize("target", [1.7, -1, 9])
def test_all_methods_refuse_the_same_targets(target):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    x = torch.randn(2, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    said = set()
    for explainer in (GradCAM("0"), DeepSHAP(x), Constant()):
        with pytest.raises((TypeError, ValueError), match="targets") as error:
            explainer(network, x, target)
        said.add(str(error.value))
    assert len(said) == 1


def test_second_and_least_probable():
    nobody = np.array([-1, -1])
    for words in (CLASSES, Outputs("multi-label", CLASSES)):
        found = [
            named_classes(word, LOGITS, nobody, words).tolist() for word in ("second", "least")
        ]
        assert found == [[2, 2], [0, 1]]
    with pytest.raises(ValueError, match="at least 2 classes to explain the second one"):
        named_classes("second", LOGITS[:, :1], nobody, ("only",))
    levels = Outputs("ordinal", ("none", "mild", "severe", "worst"))
    with pytest.raises(ValueError, match="'least', which says nothing of ordinal outputs"):
        named_classes("least", LOGITS, nobody, levels)


def test_classes_by_word():
    labels = np.array([2, 1])
    found = [
        named_classes(word, LOGITS, labels, CLASSES).tolist()
        for word in ("predicted", "label", "sit")
    ]
    assert found == [[1, 0], [2, 1], [0, 0]]
    with pytest.raises(ValueError, match=r"name of a class .*'wavr'; did you mean 'wave'\?"):
        named_classes("wavr", LOGITS, labels, CLASSES)
    with pytest.raises(ValueError, match=r"missing for 1 of 2 windows, first number 1"):
        named_classes("label", LOGITS, np.array([0, -1]), CLASSES)
