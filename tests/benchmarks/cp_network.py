"""What benchmarks share: the network of the published CP experiments, and measuring in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

import hargcn
from hargcn.model import ModelConfig, MultiBranchSTGCN, StreamConfig


def cp_network() -> MultiBranchSTGCN:
    """Build four branches of 29 points with 64 channels, about 0.67 M parameters, untrained."""
    config = ModelConfig(
        width=64,
        attention="fa",
        bounded=False,
        temporal="separable",
        expand=1.5,
        branch=StreamConfig(blocks=2, depth=2, stride=3, window=3),
        main=StreamConfig(blocks=2, window=7),
    )
    generator = torch.Generator().manual_seed(0)
    model = MultiBranchSTGCN(config, hargcn.skeleton("inmotion29"), ["absent", "present"]).eval()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def windows(n: int, seed: int = 1) -> Tensor:
    """Draw windows of 150 frames."""
    return torch.randn(n, 4, 4, 150, 29, 1, generator=torch.Generator().manual_seed(seed))


def in_turns(rounds: int, runs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median CPU seconds of each run on one thread; a first round warms up.

    One thread, because threads that wait for work spin, which is no work.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for round_ in range(rounds + (rounds > 1)):
            for name, run in runs.items():
                start = time.process_time()
                run()
                if round_ or rounds == 1:
                    seconds[name].append(time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    return {name: float(np.median(found)) for name, found in seconds.items()}
