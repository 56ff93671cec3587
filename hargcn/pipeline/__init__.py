"""The way from recordings to judged explanations: one call per command, with the same checks."""
