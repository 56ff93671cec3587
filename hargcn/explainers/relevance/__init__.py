"""Relevance: the score handed back layer by layer, each operation sharing what it receives."""
