"""The groups of figures that `--only` names. Each `measure` starts what it needs, and ends it."""
