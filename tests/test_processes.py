"""Several processes: the order of results, errors, what dies, and what is left when we stop."""

from __future__ import annotations

import math
import operator
import os
import signal
import time

import pytest

from hargcn.processes import cores, map_in_order


def test_results_come_in_order_whatever_the_number_of_processes():
    items = list(range(100))
    expected = [-item for item in items]
    assert list(map_in_order(operator.neg, items, 1)) == expected
    assert list(map_in_order(operator.neg, items, 2)) == expected
    assert list(map_in_order(operator.neg, items[:3], 2)) == expected[:3]
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_an_error_is_raised_where_it_comes_in_the_order():
    found = map_in_order(math.sqrt, [4.0] * 20 + [-1.0, 9.0], 2)
    taken = [next(found) for _ in range(16)]
    assert taken == [2.0] * 16
    with pytest.raises(ValueError, match="math domain error|nonnegative"):
        list(found)


def test_a_process_that_dies_ends_the_work_in_one_line():
    with pytest.raises(
        ChildProcessError, match="One of 2 processes died.*--workers 1 does without"
    ):
        list(map_in_order(signal.raise_signal, [signal.SIGKILL] * 30, 2))


def test_what_cannot_be_sent_is_refused_in_one_line():
    with pytest.raises(ValueError, match="that can be sent to 2 processes .*--workers 1"):
        list(map_in_order(lambda item: item, [1, 2], 2))
    assert list(map_in_order(lambda item: item, [1, 2], 1)) == [1, 2]


def test_nothing_runs_on_when_nobody_takes_more():
    """The first results of 10,000 items, of which each takes a hundredth of a second."""
    found = map_in_order(time.sleep, [0.01] * 10_000, 2)
    next(found)
    start = time.monotonic()
    found.close()
    assert time.monotonic() - start < 50
