from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hargcn.perturbation import EdgeEdit, InputEdit, parse_edit

sizes = st.floats(0, 1e6, allow_nan=False)
intervals = st.one_of(st.none(), st.tuples(st.integers(0, 50), st.integers(51, 99)))


def edge_edits() -> st.SearchStrategy[EdgeEdit]:
    which = st.sampled_from(["self", "incident", "all", "single"])
    where = st.one_of(st.none(), st.lists(st.integers(0, 5), min_size=1).map(tuple))
    return st.one_of(
        st.builds(EdgeEdit, which, st.sampled_from(["away", "noise"]), sizes, where),
        st.builds(EdgeEdit, which, st.just("towards"), sizes, where, st.booleans()),
        st.builds(EdgeEdit, which, st.just("zero"), st.just(0.0), where),
        st.builds(
            EdgeEdit,
            st.just("self"),
            st.just("towards"),
            sizes,
            where,
            st.booleans(),
            st.sampled_from(["original", "recomputed"]),
        ),
    )


def input_edits() -> st.SearchStrategy[InputEdit]:
    still = st.sampled_from(["freeze", "mean", "interpolate", "parent"])
    return st.one_of(
        st.builds(InputEdit, st.just("noise"), sizes, intervals, st.booleans()),
        st.builds(InputEdit, st.sampled_from(["shift", "speed", "angle"]), sizes, intervals),
        st.builds(InputEdit, still, st.just(0.0), intervals),
    )


@settings(max_examples=60, deadline=None)
@given(st.one_of(edge_edits(), input_edits()))
def test_an_edit_reads_its_own_text(edit):
    assert parse_edit(str(edit)) == edit


def test_texts_of_the_manual():
    assert parse_edit("edge:self:away:0.35") == EdgeEdit("self", "away", 0.35)
    assert parse_edit("edge:incident:zero@1,2") == EdgeEdit("incident", "zero", 0.0, (1, 2))
    assert parse_edit("edge:all:towards:2:cross") == EdgeEdit("all", "towards", 2.0, None, True)
    assert parse_edit("input:freeze") == InputEdit("freeze")
    assert parse_edit("input:noise:0.02@30-60") == InputEdit("noise", 0.02, (30, 60))
    assert parse_edit("input:noise:2x") == InputEdit("noise", 2.0, tracker=True)
    assert parse_edit("input:angle:-1") == InputEdit("angle", -1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("edge:self", "Expected an edit edge:"),
        ("input:freeze:0.5", "Expected an edit edge:"),
        ("input:noise", "Expected an edit edge:"),
        ("edge:self:away:much", "Expected a number as the amount of 'edge:self:away:much'"),
        ("edge:self:away:-1", "amount >= 0"),
        ("edge:self:away:inf", "amount >= 0"),
        ("edge:self:away:1:cross", "cross with the op towards only"),
        ("edge:own:away:1", "Expected which of self, incident, all, single"),
        ("edge:self:sideways:1", "Expected op of away"),
        ("input:jump", "Expected op of noise"),
        ("input:noise:-1", "Expected a finite amount"),
        ("input:shift:2x", "tracker's noise for noise only"),
        ("input:freeze@60-30", "Expected frames 0 <= start < stop"),
    ],
)
def test_a_wrong_text_says_what_is_expected(text, message):
    with pytest.raises(ValueError, match=message):
        parse_edit(text)


def test_edits_are_written_as_short_as_they_are_read():
    for text in ("edge:incident:zero", "edge:self:away:0.35", "input:freeze", "input:noise:2.0x"):
        assert str(parse_edit(text)) == text
