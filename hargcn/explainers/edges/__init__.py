"""Attributions to the edges of the graphs that a network mixes joints by."""
