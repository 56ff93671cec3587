"""Which rule the book has for an operation, and what it measures of what is lost."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from fixtures.recorded_networks import operations, record
from torch import Tensor, testing

from hargcn.explainers.relevance.book import OWN, Book, boxed, refuse, register_relevance
from hargcn.explainers.relevance.recipes import COMPOSITES, everywhere

X = torch.tensor([[1.0, 2.0], [5.0, -1.0]]).double()
W = torch.tensor([[1.0, 2.0], [3.0, -1.0]]).double()
B = torch.tensor([2.0, 0.0]).double()


def relevance(formula, x: Tensor = X, book: Book | None = None, column: int = 0):
    """Return the relevance of one output, and what was lost."""
    graph, book = record(formula, x, book)
    return graph.relevance(torch.full((len(x),), column)), book.lost


def recipe(**rules: str) -> Book:
    return Book({**COMPOSITES["epsilon"], **rules}, epsilon=1e-13)


def test_each_kind_of_operation_has_its_own_rule() -> None:
    """z-plus gives all to what speaks for the result: w x = (5, -2), of which the score is 3."""
    x, w = torch.tensor([[5.0, 1.0]]).double(), torch.tensor([[1.0, -2.0]]).double()
    forms = {
        "linear": lambda v: F.linear(v, w),
        "convolution": lambda v: F.conv1d(v[..., None], w[..., None])[..., 0],
        "graph": lambda v: v @ w.T,
        "sum": lambda v: v[:, :1] - 2 * v[:, 1:],
    }
    for kind in forms:
        for name, formula in forms.items():
            found, _ = relevance(formula, x, recipe(**{kind: "z-plus"}))
            expected = [[3, 0]] if kind == name else [[5, -2]]
            testing.assert_close(found, torch.tensor(expected).double())


def test_a_matrix_at_each_place_is_a_convolution() -> None:
    x, w = torch.tensor([[5.0, 1.0]]).double(), torch.tensor([[1.0, -2.0]]).double()
    for kind, expected in (("convolution", [[3, 0]]), ("linear", [[5, -2]])):
        found, _ = relevance(lambda v: F.linear(v[:, None], w)[:, 0], x, recipe(**{kind: "z-plus"}))
        testing.assert_close(found, torch.tensor(expected).double())


def test_the_input_rule_is_of_the_first_layer_whatever_it_is() -> None:
    """flat: half each of y = 3 x1 - x2, then epsilon."""
    x = torch.tensor([[2.0, 1.0]]).double()
    found, _ = relevance(lambda v: F.linear(v, W[1:]) * 2, x, recipe(input="flat"))
    testing.assert_close(found, torch.tensor([[5.0, 5.0]]).double())


def test_a_bias_keeps_what_it_adds_once_for_all_calls_of_a_place() -> None:
    """w x + b twice: 5 + 2 = 7, then (7, 1) W + b = 11: the biases take 2 and 2 of it."""
    found, lost = relevance(lambda v: F.linear(F.linear(v, W, B), W, B), X[:1])
    ((name, value),) = lost.items()
    assert name == "the model itself: linear (bias)"
    testing.assert_close(value, torch.tensor([4.0]).double())
    testing.assert_close(found.sum() + value[0], torch.tensor(11.0).double())


def test_a_value_at_0_is_lost_and_a_function_without_one_keeps_all() -> None:
    found, lost = relevance(lambda v: v.exp() + 0 * v, torch.zeros(1, 2).double())
    testing.assert_close(found, torch.zeros(1, 2).double())
    testing.assert_close(lost["the model itself: exp (value at 0)"], torch.ones(1).double())
    found, lost = relevance(lambda v: v.tanh())
    testing.assert_close(found[:, 0], X[:, 0].tanh())
    assert not lost


def test_what_is_lost_is_told_by_sample() -> None:
    """Biases 2 and 0 of the outputs that were asked for."""
    graph, book = record(lambda v: F.linear(v, W, B), X)
    graph.relevance(torch.tensor([0, 1]))
    testing.assert_close(book.lost["the model itself: linear (bias)"], B)


@pytest.mark.parametrize(
    ("formula", "kept"),
    [
        (lambda v: v.neg(), True),
        (lambda v: v.abs(), True),
        (lambda v: v.square(), True),
        (lambda v: v * 3, True),
        (lambda v: 3 * v / 2, True),
        (lambda v: v.relu_(), True),
        (lambda v: v + 1, False),
        (lambda v: 1 - v, False),
    ],
)
def test_scales_keep_all_and_shifts_their_own(formula, kept) -> None:
    x = torch.tensor([[3.0, 2.0]]).double()
    found, _ = relevance(lambda v: formula(v.clone()), x)
    score = float(formula(x.clone())[0, 0])
    testing.assert_close(found[0, 0], torch.tensor(score if kept else score - 1).double())


def test_shifts_pass_everything_where_the_recipe_says_so() -> None:
    found, lost = relevance(lambda v: v + 1, book=Book({**everywhere("epsilon"), "shift": "pass"}))
    testing.assert_close(found[:, 0], X[:, 0] + 1)
    assert not lost


def test_a_numerator_takes_all_and_alike_factors_half() -> None:
    x = torch.tensor([[6.0, 2.0]]).double()
    found, lost = relevance(lambda v: v[:, :1] / v[:, 1:], x)
    testing.assert_close(found, torch.tensor([[3.0, 0.0]]).double())
    assert [*lost] == ["the model itself: div (denominator takes none)"]
    found, lost = relevance(lambda v: v[:, :1] * v[:, 1:], x)
    testing.assert_close(found, torch.tensor([[6.0, 6.0]]).double())
    assert [*lost] == ["the model itself: mul (halves)"]


def test_ones_own_rule_goes_before_the_books() -> None:
    register_relevance("relu")(lambda _op, received: [2 * received])
    try:
        found, _ = relevance(lambda v: v.relu())
    finally:
        del OWN["relu"]
    testing.assert_close(found[:, 0], 2 * X[:, 0])
    testing.assert_close(relevance(lambda v: v.relu())[0][:, 0], X[:, 0])


def test_a_refusal_names_operation_and_module_where_anything_arrives() -> None:
    op = operations(lambda v: v.relu(), X)["relu"]
    assert refuse(op, torch.zeros(2, 2)) == [None]
    said = "operation 'relu' in module 'the model itself': expected a rule for its relevance"
    with pytest.raises(ValueError, match=said):
        refuse(op, torch.ones(2, 2))
    with pytest.raises(ValueError, match="reciprocal|rtruediv|rdiv"):
        relevance(lambda v: 1 / v)


def test_a_box_has_its_lower_bound_first() -> None:
    op = operations(lambda v: F.linear(v, W), X)["linear"]
    boxed(op, torch.tensor([1.0, -2.0]), torch.tensor([0.0, 3.0]))
    assert [each.tolist() for each in op.role.box] == [[0, -2], [1, 3]]
