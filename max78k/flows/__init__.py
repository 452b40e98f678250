"""What joins several floors: synthesis with its check, the truth chain, the demo."""
