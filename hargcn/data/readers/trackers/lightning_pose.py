"""Lightning Pose: the predictions for one video, in DeepLabCut's rows of header."""

from __future__ import annotations

from pathlib import Path

from hargcn.data.readers.base import first_line
from hargcn.data.readers.trackers.deeplabcut import DeepLabCut
from hargcn.registry import settings


@settings
class LightningPose(DeepLabCut):
    """Reads the key points of one animal, found by name in the layout.

    The grammar is that of `deeplabcut`; the scorer is the kind of network, such as
    `heatmap_tracker`. Coordinates other than x, y and likelihood, as an ensemble adds them, are
    ignored, and so are the tables of losses that lie beside predictions.
    """

    name = "lightning-pose"
    label = "Lightning Pose predictions"
    suffixes = (".csv",)
    source = "Lightning Pose, docs/source/user_guide/inference.rst: video_preds/*.csv"

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the first row: the scorer is a kind of tracker."""
        cells = first_line(file).split(",")
        return cells[0] == "scorer" and cells[-1].endswith("_tracker")

    @classmethod
    def _listed(cls, folder: Path) -> list[Path]:
        losses = ("_temporal_norm", "_pca_singleview_error", "_pca_multiview_error")
        return [file for file in super()._listed(folder) if not file.stem.endswith(losses)]
