"""Multipliers through the graph of the background."""

from __future__ import annotations

import torch
from fixtures.foreign_networks import FOREIGN, foreign

from hargcn.explainers.deepshap.plan import make_plan
from hargcn.explainers.deepshap.propagation import Background
from hargcn.explainers.hooks import undisturbed


def test_each_row_adds_up_for_any_sample_in_any_order():
    for name in FOREIGN:
        model, shape = foreign(name)
        model.double()
        generator = torch.Generator().manual_seed(1)
        rows, x = (torch.randn(n, *shape, generator=generator).double() for n in (5, 3))
        with undisturbed(model):
            plan = make_plan(model, model, torch.stack([rows[0], x[0]]))
            graph = Background(model, plan, rows)
            torch.testing.assert_close(graph.outputs, model(rows))
            found = {i: graph.multipliers(x[i : i + 1], [1, 0]) for i in (2, 0, 1, 0)}
            for i, both in found.items():
                for column, m in zip((1, 0), both, strict=True):
                    phi = (m * (x[i : i + 1] - rows)).flatten(1).sum(1)
                    change = model(x[i : i + 1])[:, column] - graph.outputs[:, column]
                    torch.testing.assert_close(phi, change)


def test_memory_of_a_sample_is_let_go():
    model, shape = foreign("functional")
    rows = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    with undisturbed(model):
        graph = Background(model, make_plan(model, model, rows[:2]), rows)
        graph.multipliers(rows[2:], [0])
    assert graph.recorder.operations
    assert all(op.sample == ((), ()) for op in graph.recorder.operations.values())
