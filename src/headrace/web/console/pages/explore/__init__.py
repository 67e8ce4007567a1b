"""Explore: find events of a bucket, look at one, take them away as a file. One file for each kind of answer."""

from __future__ import annotations

from headrace.web.console.page import pages
from headrace.web.console.pages.explore import chart, complete, event, export, live, saved, search

routes = pages("Explore")
for part in (search, chart, complete, event, export, live, saved):
    routes.routes.extend(part.routes.routes)
