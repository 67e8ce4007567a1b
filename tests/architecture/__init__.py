"""The shape of the repository, kept by tests. Which room may import which is kept by import-linter (pyproject.toml)."""
