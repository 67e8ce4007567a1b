"""Tasks: the list, one task, queues, schedules. One file for each noun; `asked.py` reads the address of the list."""

from __future__ import annotations

from headrace.web.console.page import pages
from headrace.web.console.pages.tasks import bulk, every, new, one, queues, schedule_changes, schedules

routes = pages("Tasks")
for part in (every, new, bulk, queues, schedules, schedule_changes, one):  # `one` has {id} where the others have a word
    routes.routes.extend(part.routes.routes)
