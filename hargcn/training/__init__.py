"""Training a network on windows, and judging how well it classifies them."""
