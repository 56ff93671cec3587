"""Class activation maps: a file per family, each method its rule and little more."""
