"""Which operand of a product is the graph, and what its axes are: read off by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hargcn.explainers.edges.products import Graph, Products, Running

V = 4


def shaped(*sizes: int) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(sum(sizes)))


def graphs_in(run) -> list[Graph]:
    """Return the graphs of products over 4 joints."""
    found: list[Graph] = []

    def note(graph, operand):
        found.append(graph)
        return operand

    with Products(V, note):
        run()
    return found


@pytest.mark.parametrize(
    ("equation", "sizes", "expected"),
    [
        ("nctv,vw->nctw", [(2, 3, 6, V), (V, V)], Graph(1, (), (), 0, 1)),
        ("vw,nctw->nctv", [(V, V), (2, 3, 6, V)], Graph(0, (), (), 1, 0)),
        ("nkctv,kvw->nctw", [(2, 5, 3, 6, V), (5, V, V)], Graph(1, (), (0,), 1, 2)),
        ("ncuv,nctv->nctu", [(2, 3, V, V), (2, 3, 6, V)], Graph(0, (0, 1), (), 3, 2)),
        # as many channels as joints: each has its own graph
        ("ncuv,nctv->nctu", [(2, V, V, V), (2, V, 6, V)], Graph(0, (0, 1), (), 3, 2)),
        ("n k c t v, k n v w -> n c t w", [(2, 5, 3, 6, V), (5, 2, V, V)],
         Graph(1, (1,), (0,), 2, 3)),
        # as many frames as joints: frames stay in both
        ("nctv,vw->nctw", [(2, 3, V, V), (V, V)], Graph(1, (), (), 0, 1)),
    ],
)  # fmt: skip
def test_letters_say_what_an_axis_is(equation, sizes, expected):
    operands = [shaped(*each) for each in sizes]
    assert graphs_in(lambda: torch.einsum(equation, *operands)) == [expected]
    assert graphs_in(lambda: torch.einsum(equation, operands)) == [expected]


@pytest.mark.parametrize(
    ("equation", "sizes"),
    [
        ("nctv,vw->nctw", [(2, 3, 6, 5), (5, V)]),  # joints to parts
        ("nctv,vv->nctv", [(2, 3, 6, V), (V, V)]),  # weighed, not mixed
        ("nctv,nctw->nvw", [(2, 3, 6, V), (2, 3, 6, V)]),  # the making of attention
        ("nctv,dc->ndtv", [(2, 3, 6, V), (7, 3)]),  # channels
    ],
)
def test_products_that_mix_no_joints_have_no_graph(equation, sizes):
    assert graphs_in(lambda: torch.einsum(equation, *[shaped(*each) for each in sizes])) == []


@pytest.mark.parametrize(
    ("product", "graph"),
    [
        (lambda x, a: torch.matmul(x, a), Graph(1, (), (), 0, 1)),
        (lambda x, a: x @ a, Graph(1, (), (), 0, 1)),
        (lambda x, a: x.matmul(a), Graph(1, (), (), 0, 1)),
        (lambda x, a: a @ x.mT, Graph(0, (), (), 1, 0)),
        (lambda x, a: torch.mm(x[0, 0], a), Graph(1, (), (), 0, 1)),
        (lambda x, a: torch.bmm(a.expand(3, V, V), x[0].mT), Graph(0, (0,), (), 2, 1)),
    ],
)
def test_a_matrix_product_sums_over_its_inner_axis(product, graph):
    """Of x @ A sources are A's rows, of A @ x its columns."""
    assert graphs_in(lambda: product(shaped(2, 3, 6, V), shaped(V, V))) == [graph]


def test_a_vector_is_mixed_by_no_graph():
    assert graphs_in(lambda: shaped(V, V) @ shaped(V)) == []
    assert graphs_in(lambda: shaped(2, 6, 5) @ shaped(5, 7)) == []


def test_the_operand_of_fewer_axes_is_the_graph_where_either_may_be():
    assert graphs_in(lambda: shaped(2, 3, V, V) @ shaped(V, V)) == [Graph(1, (), (), 0, 1)]


@pytest.mark.parametrize(
    "product",
    [
        lambda: shaped(2, V, V) @ shaped(2, V, V),
        lambda: torch.einsum("ntv,nvw->ntw", shaped(2, V, V), shaped(2, V, V)),
        lambda: torch.einsum("uv,vw->uw", shaped(V, V), shaped(V, V)),
    ],
)
def test_two_that_may_be_the_graph_are_refused(product):
    with pytest.raises(ValueError, match=r"graph over 4 joints .*\(got .*4, 4\) and .*4, 4\)"):
        graphs_in(product)


def test_a_graph_is_masked_by_partition_source_and_target():
    """(target, partition, row, source): every axis at another place than the mask's."""
    graph, operand = Graph(0, (2,), (1,), 3, 0), shaped(V, 2, 3, V)
    mask = shaped(2, V, V)
    found = graph.masked(operand, mask)
    for w, k, n, v in torch.cartesian_prod(*map(torch.arange, operand.shape)).tolist():
        expected = float(operand[w, k, n, v] * mask[k, v, w])
        assert float(found[w, k, n, v]) == pytest.approx(expected, rel=1e-6)
    assert graph.count(operand) == 2


def test_two_axes_of_partitions_are_counted_one_in_the_other():
    graph, operand = Graph(0, (), (0, 1), 2, 3), torch.ones(2, 3, V, V)
    mask = torch.arange(6.0)[:, None, None].expand(6, V, V)
    assert graph.count(operand) == 6
    assert graph.masked(operand, mask)[:, :, 0, 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_an_edge_is_there_where_any_row_has_it():
    operand = torch.zeros(V, 2, 3, V)
    operand[1, 0, 2, 3], operand[0, 1, 0, 2] = -1, 1e-9
    there = Graph(0, (2,), (1,), 3, 0).present(operand)
    assert there.shape == (2, V, V)
    assert there.nonzero().tolist() == [[0, 3, 1], [1, 2, 0]]


def test_what_takes_a_graphs_place_is_what_is_multiplied():
    x, graph = shaped(2, 3, 6, V), shaped(V, V)
    with Products(V, lambda _graph, operand: 2 * operand):
        found = [x @ graph, torch.einsum("nctv,vw->nctw", x, graph), x.mT.mT @ graph[:, :2]]
    torch.testing.assert_close(found[0], 2 * (x @ graph))
    torch.testing.assert_close(found[1], found[0])
    torch.testing.assert_close(found[2], x @ graph[:, :2])


def test_the_innermost_module_that_runs_has_the_name():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Sequential(nn.Identity())
            self.seen = []

        def forward(self, x):
            self.seen.append(running.name)
            self.a(x)
            self.seen.append(running.name)
            return x

    model = Outer()
    running = Running(model)
    hooks = [dict(m._forward_pre_hooks) for m in model.modules()]
    with running:
        inside = model.a[0].register_forward_pre_hook(lambda *_: model.seen.append(running.name))
        model(torch.ones(1))
        inside.remove()
    assert model.seen == ["(network)", "a.0", "(network)"]
    assert [dict(m._forward_pre_hooks) for m in model.modules()] == hooks
