"""Around tasks in the console: queues paused, schedules run, the overview, and what is hostile."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console import hostile
from tests.e2e.console.conftest import Opened
from tests.e2e.console.test_hostile import assert_inert
from tests.e2e.console.worker import Worker, rows, state
from tests.support.people import Person

# --- queues and schedules -----------------------------------------------------------------------------------------


def test_a_task_of_a_paused_queue_waits_until_it_is_resumed(admin_page: Page, admin_worker: Worker) -> None:
    page, queue = admin_page, admin_worker.queue
    assert admin_worker.get(admin_worker.submit("add", {"a": 1, "b": 2}))["status"] == "succeeded"
    page.goto("/tasks/queues")
    page.locator(f"#pause-{queue}").click()
    expect(page.locator(f"#resume-{queue}")).to_be_visible()
    task_id = admin_worker.submit("add", {"a": 5, "b": 10})
    assert admin_worker.get(task_id, wait="2s")["status"] == "queued"
    row = page.locator("tr", has=page.locator(f"#queue-{queue}"))
    expect(row.locator("[data-label=Waiting]")).to_have_text("1")
    expect(row).to_contain_text("paused")
    page.locator(f"#resume-{queue}").click()
    expect(page.locator(f"#pause-{queue}")).to_be_visible()
    assert admin_worker.get(task_id)["result"] == 15


def test_a_queue_is_limited(admin_page: Page, admin_worker: Worker, opened: Opened) -> None:
    opened.watch(admin_page).forgive("status of 422 ")
    page, queue = admin_page, admin_worker.queue
    admin_worker.submit()
    page.goto("/tasks/queues")
    page.locator(f"#limits-{queue}").click()
    page.get_by_label("Running at once").fill("none")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Must be a whole number")).to_be_visible()
    page.get_by_label("Running at once").fill("4")
    page.get_by_label("Begun a second").fill("0.5")
    page.get_by_role("button", name="Save").click()
    row = page.locator("tr", has=page.locator(f"#queue-{queue}"))
    expect(row.locator("[data-label=Limits]")).to_have_text("4 at once, 0.5 a second")


def test_who_does_not_manage_queues_is_offered_no_button(user_page: Page, worker: Worker) -> None:
    worker.submit()
    user_page.goto("/tasks/queues")
    expect(user_page.locator(f"#queue-{worker.queue}")).to_be_visible()
    expect(user_page.get_by_role("button", name="Pause")).to_have_count(0)


def test_a_schedule_is_made_with_its_next_firings_and_run_now(user_page: Page, opened: Opened) -> None:
    opened.watch(user_page).forgive("status of 422 ")
    page = user_page
    page.goto("/tasks/schedules")
    page.get_by_role("link", name="Make a schedule").click()
    page.get_by_label("Name").fill("sums")
    page.get_by_label("Cron").fill("0 9 * *")
    expect(page.locator("#preview")).to_contain_text("five fields")
    page.get_by_label("Cron").fill("0 9 1 1 *")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    expect(page.locator("#preview li")).to_have_count(5)
    expect(page.locator("#preview li").first).to_contain_text(re.compile(r"1 Jan \d{4}, 09:00"))
    page.get_by_label("Type", exact=True).fill("add")
    page.get_by_label("Args").fill('{"a": 5}')
    page.get_by_role("button", name="Make the schedule").click()
    expect(page.locator("#args-error")).to_contain_text("b")
    page.get_by_label("Args").fill('{"a": 5, "b": 10}')
    page.get_by_role("button", name="Make the schedule").click()
    page.get_by_role("button", name="Run now").click()
    expect(state(page)).to_have_text("succeeded")
    expect(page.locator("#result")).to_have_text("15")


def test_a_schedule_is_changed_switched_off_and_deleted(user_page: Page, worker: Worker) -> None:
    task = {"type": "add", "args": {"a": 1, "b": 2}, "max_attempts": 3}
    task_id = worker.post("/v1/schedules", {"name": "sums", "cron": "0 9 * * *", "task": task})["id"]
    page = user_page
    page.goto(f"/tasks/schedules/{task_id}")
    page.get_by_label("Args").fill('{"a": 2, "b": 2}')
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/tasks/schedules")
    kept = worker.client.get(f"/v1/schedules/{task_id}").json()["task"]
    assert kept["args"] == {"a": 2, "b": 2}
    assert kept["max_attempts"] == 3  # what no field is about stays
    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_text("while it is off, never")).to_be_visible()
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_role("button", name="Switch off")).to_be_visible()
    page.get_by_role("link", name="Delete sums").click()
    page.get_by_role("button", name="Delete the schedule").click()
    expect(page.get_by_text("No schedules yet")).to_be_visible()


# --- the overview, and what is hostile ----------------------------------------------------------------------------


def test_the_overview_counts_ones_tasks_and_leads_to_them(user_page: Page, worker: Worker) -> None:
    worker.submit()
    worker.submit(delay="1h")
    worker.submit()
    worker.tell(worker.lease(), "fail", error="no", permanent=True)
    page = user_page
    page.goto("/")
    panel = page.locator("#panel-tasks")
    expect(panel.locator(".stat-value")).to_have_text(["2", "0", "1"])
    expect(panel.locator(".ended rect.ended-failed")).not_to_have_count(0)  # once its event is stored
    panel.get_by_role("link", name="1", exact=True).click()
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("failed")


@pytest.mark.parametrize("name", list(hostile.TEXTS))
def test_hostile_tasks_are_text(user_page: Page, worker: Worker, name: str) -> None:
    text = hostile.TEXTS[name].encode("utf-8", "replace").decode()
    task_id = worker.submit("nobody.does", {text: [text]}, max_attempts=1)
    task = worker.lease()
    logs = [{"level": "error", "message": text[:4000], "attributes": {text[:200]: text[:4000]}}]
    worker.tell(task, "heartbeat", progress={"value": text[:2000], "note": text[:2000]}, logs=logs)
    for path in ("/tasks", f"/tasks/{task_id}"):
        user_page.goto(path)
        assert_inert(user_page)
    worker.tell(task, "fail", error=text, permanent=True)
    for width in (390, 1440):
        user_page.set_viewport_size({"width": width, "height": 900})
        for path in ("/tasks", f"/tasks/{task_id}", f"/tasks/new?like={task_id}"):
            user_page.goto(path)
            assert_inert(user_page)
    shown = user_page.goto(f"/tasks/{task_id}")
    assert shown
    expect(user_page.locator(".is-log")).to_have_count(1)
    assert not set(user_page.locator("#task").inner_text()) & set("\u202e\u2066\u200b\u061c\x1b\x07\x7f\x9b")


def test_hostile_types_and_queues_are_refused_beside_their_field(user_page: Page, opened: Opened) -> None:
    opened.watch(user_page).forgive("status of 422 ")
    user_page.goto("/tasks/new")
    user_page.get_by_label("Type", exact=True).fill(hostile.TEXTS["script"][:100])
    user_page.get_by_label("Queue").fill(hostile.TEXTS["image"][:60])
    user_page.get_by_role("button", name="Submit").click()
    expect(user_page.locator("#type-error")).to_be_visible()
    expect(user_page.locator("#queue-error")).to_be_visible()
    assert_inert(user_page)


def test_a_task_of_an_administrators_list_says_whose_it_is(admin_page: Page, worker: Worker, user: Person) -> None:
    task_id = worker.submit()
    admin_page.goto(f"/tasks?queue={worker.queue}")
    expect(admin_page.locator(f"[data-task='{task_id}']")).to_contain_text(user.username)
    admin_page.get_by_label("Owner").select_option("me")
    admin_page.get_by_role("button", name="Show", exact=True).click()
    expect(rows(admin_page)).to_have_count(0)
