"""Evidence that is known: signs, planted in real recordings or in generated bodies."""
