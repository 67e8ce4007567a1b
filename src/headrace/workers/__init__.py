"""Loops that pull. Each calls one `step()` of a feature, and goes on after an error."""
