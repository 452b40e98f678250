"""Facts about the MAX78000: limits, address map, register fields. Tables, no behaviour."""
