"""Tasks: submit, run, watch, change, schedule. The task table (ports/tasks) is the truth; nothing here keeps any."""
