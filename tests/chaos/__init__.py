"""Faults on purpose: a server is killed, stopped, starved and lied to under load, and a checker outside of it compares
what was acknowledged with what can be read. `python -m tests.chaos --cycles N --seed S`."""
