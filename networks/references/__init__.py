"""Float networks of others as they were, in plain torch.nn: to compare with, or as teachers."""
