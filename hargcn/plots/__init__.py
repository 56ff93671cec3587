"""Pictures of explanations and results: every `plot_*(result, ..., ax=None)` gives (fig, ax)."""

from hargcn.plots.axioms import plot_axioms
from hargcn.plots.branches import plot_branches
from hargcn.plots.clusters import plot_clusters
from hargcn.plots.edges import plot_edges
from hargcn.plots.heatmaps import (
    plot_agreement,
    plot_confusion,
    plot_correlation,
    plot_heatmap,
    plot_means,
)
from hargcn.plots.interactions import plot_interactions
from hargcn.plots.lines import plot_convergence, plot_curves, plot_history, plot_sweep
from hargcn.plots.masked import plot_masked
from hargcn.plots.rankings import plot_mean_ranks, plot_ranking, plot_rankings
from hargcn.plots.rhythm import plot_rhythm, plot_shares
from hargcn.plots.skeletons import plot_layout
from hargcn.plots.strips import plot_strip, plot_strips, save_clip
from hargcn.plots.style import save_figure
from hargcn.plots.tables import plot_table

__all__ = [
    "plot_agreement",
    "plot_axioms",
    "plot_clusters",
    "plot_confusion",
    "plot_branches",
    "plot_convergence",
    "plot_correlation",
    "plot_curves",
    "plot_edges",
    "plot_heatmap",
    "plot_history",
    "plot_interactions",
    "plot_layout",
    "plot_mean_ranks",
    "plot_means",
    "plot_masked",
    "plot_ranking",
    "plot_rankings",
    "plot_rhythm",
    "plot_shares",
    "plot_strip",
    "plot_strips",
    "plot_sweep",
    "plot_table",
    "save_clip",
    "save_figure",
]
