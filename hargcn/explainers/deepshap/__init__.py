"""DeepSHAP: attributions of the input that add up to the score, for any torch module."""
