"""Clusters in a plane: who is drawn how."""

from __future__ import annotations

import numpy as np

from hargcn.plots import plot_clusters
from hargcn.plots.clusters import ClusterPanel
from hargcn.plots.style import COLOURS


def test_groups_are_colours_and_marked_windows_discs():
    places = np.arange(8.0).reshape(4, 2)
    panels = [ClusterPanel("shap", places, np.array([0, 0, 1, 1])),
              ClusterPanel("gradcam", places, np.zeros(4, int))]  # fmt: skip
    figure, axes = plot_clusters(panels, np.array([True, False, True, True]))
    assert [axis.get_title() for axis in axes] == ["shap", "gradcam"]
    drawn = [each.get_offsets().tolist() for each in axes[0].collections]
    assert drawn == [[[0, 1]], [[2, 3]], [[4, 5], [6, 7]], []]
    colours = [
        each.get_edgecolor()[0][:3] for each in axes[0].collections if len(each.get_offsets())
    ]
    wanted = [tuple(int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)) for c in COLOURS[:2]]
    np.testing.assert_allclose(colours, [wanted[0], wanted[0], wanted[1]])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["with", "without"]
