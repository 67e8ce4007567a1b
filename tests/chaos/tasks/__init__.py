"""The same for tasks: what runs them is killed, stopped and lied to, and a checker outside of it compares what was
acknowledged, what the table says, and which effects there were. `python -m tests.chaos --tasks N --seed S`."""
