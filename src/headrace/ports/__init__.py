"""Promises that adapters keep, one Protocol a file. Each has one contract suite in tests/contract/."""
