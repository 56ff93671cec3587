"""One page that shows explanations: an overview, windows in motion, and a list of them."""
