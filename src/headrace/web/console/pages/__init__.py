"""The pages, one file each with its `routes`: read the request, call one feature, render. A new one is added to ALL."""

from __future__ import annotations

from headrace.web.console.pages import account as account
from headrace.web.console.pages import admin_buckets as admin_buckets
from headrace.web.console.pages import admin_dead_letters as admin_dead_letters
from headrace.web.console.pages import admin_grants as admin_grants
from headrace.web.console.pages import admin_keys as admin_keys
from headrace.web.console.pages import admin_status as admin_status
from headrace.web.console.pages import admin_usage as admin_usage
from headrace.web.console.pages import admin_users as admin_users
from headrace.web.console.pages import audit as audit
from headrace.web.console.pages import explore as explore
from headrace.web.console.pages import forgotten as forgotten
from headrace.web.console.pages import links as links
from headrace.web.console.pages import overview as overview
from headrace.web.console.pages import sign_in as sign_in
from headrace.web.console.pages import tasks as tasks

ALL = (
    audit,
    sign_in,
    forgotten,
    links,
    account,
    admin_buckets,
    admin_dead_letters,
    admin_grants,
    admin_keys,
    admin_status,
    admin_usage,
    admin_users,
    explore,
    tasks,
    overview,
)
