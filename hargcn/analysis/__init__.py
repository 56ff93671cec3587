"""What explanations say, read from Explanations alone: rankings, agreement, statistics."""
