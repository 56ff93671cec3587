"""Attributions to the network's input."""
