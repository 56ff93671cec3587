"""The multi-branch graph network, its checkpoints, and those of the published code."""
