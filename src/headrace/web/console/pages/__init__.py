"""The pages, one file each with its `routes`: read the request, call one feature, render. A new one is added to ALL."""

from __future__ import annotations

from headrace.web.console.pages import account as account
from headrace.web.console.pages import sign_in as sign_in

ALL = (sign_in, account)
