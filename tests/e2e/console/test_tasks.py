"""Tasks in the console: submitted, watched, retried, cancelled; queues paused, schedules run. The test is the worker of
types that nobody has a handler for, so that it says itself when something happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.console import hostile
from tests.e2e.console.conftest import Opened
from tests.e2e.console.test_hostile import assert_inert
from tests.support.people import Person, unused_name
from tests.support.server import Server

Fields = dict[str, Any]


class Worker:
    """Submits, leases and ends tasks of one person, in a queue of their own."""

    def __init__(self, server: Server, person: Person) -> None:
        self.client = server.client(key=person.access_token)
        self.queue = unused_name()

    def submit(self, kind: str = "nobody.does", args: Fields | None = None, **more: Any) -> str:
        body = {"type": kind, "args": args or {}, "queue": self.queue, **more}
        made: str = self.post("/v1/tasks", body)["id"]
        return made

    def lease(self) -> Fields:
        (task,) = self.post(f"/v1/queues/{self.queue}/lease", {"wait": "10s", "lease_seconds": 60})["tasks"]
        found: Fields = task
        return found

    def tell(self, task: Fields, how: str, **said: Any) -> Fields:
        return self.post(f"/v1/tasks/{task['id']}/{how}", {"lease": task["lease"], **said})

    def get(self, task_id: str, wait: str = "10s") -> Fields:
        answer = self.client.get(f"/v1/tasks/{task_id}", params={"wait": wait})
        found: Fields = answer.raise_for_status().json()
        return found

    def post(self, path: str, body: Fields) -> Fields:
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        made: Fields = answer.json()
        return made


@pytest.fixture
def worker(shared_server: Server, user: Person) -> Iterator[Worker]:
    made = Worker(shared_server, user)
    with made.client:
        yield made


@pytest.fixture
def admin_worker(shared_server: Server, admin: Person) -> Iterator[Worker]:
    made = Worker(shared_server, admin)
    with made.client:
        yield made


def state(page: Page) -> Locator:
    return page.locator("#task h1 .badge").first


def rows(page: Page) -> Locator:
    return page.locator("[data-task]")


# --- one task -----------------------------------------------------------------------------------------------------


def test_a_task_is_submitted_watched_and_retried(user_page: Page, worker: Worker) -> None:
    page = user_page
    page.goto("/")
    page.get_by_role("link", name="Tasks", exact=True).click()
    expect(page.get_by_text("No tasks yet")).to_be_visible()
    page.get_by_role("link", name="New task").click()
    page.get_by_label("Type", exact=True).fill("invoice.send")
    page.get_by_label("Args").fill('{"invoice": 99311}')
    page.get_by_label("Queue").fill(worker.queue)
    page.get_by_role("button", name="Submit").click()
    expect(state(page)).to_have_text("queued")
    task = worker.lease()
    expect(state(page)).to_have_text("running")  # by itself
    logs = [{"message": "handed to the printer", "attributes": {"tray": 2}}]
    worker.tell(task, "heartbeat", progress={"value": 0.4, "note": "4 of 10 pages"}, logs=logs)
    expect(page.get_by_text("4 of 10 pages")).to_be_visible()
    expect(page.locator(".is-log")).to_contain_text("handed to the printer")
    worker.tell(task, "fail", error="the printer is on fire", permanent=True)
    expect(state(page)).to_have_text("failed")
    expect(page.locator(".task-error")).to_have_text("the printer is on fire")
    expect(page.locator("#task-told")).to_have_text("The task is failed now.")
    page.get_by_role("button", name="Retry").click()
    expect(state(page)).to_have_text("queued")
    worker.tell(worker.lease(), "complete", result={"pages": 10})
    expect(state(page)).to_have_text("succeeded")
    expect(page.locator("#result")).to_contain_text('"pages": 10')
    expect(page.locator(".try-step .badge")).to_have_text(
        ["queued", "running", "failed", "queued", "running", "succeeded"]
    )
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)


def test_a_built_in_task_shows_its_result(user_page: Page) -> None:
    user_page.goto("/tasks/new?type=add")
    user_page.get_by_label("Args").fill('{"a": 5, "b": 10}')
    user_page.get_by_role("button", name="Submit").click()
    expect(state(user_page)).to_have_text("succeeded")
    expect(user_page.locator("#result")).to_have_text("15")


def test_what_is_wrong_with_a_task_is_said_beside_its_field(user_page: Page, opened: Opened) -> None:
    opened.watch(user_page).forgive("status of 422 ")
    user_page.goto("/tasks/new?type=add")
    user_page.get_by_label("Args").fill('{"a": 5, "b": "ten"}')
    user_page.get_by_role("button", name="Submit").click()
    expect(user_page.locator("#args-error")).to_contain_text("b")
    user_page.get_by_label("Args").fill("{'a': 5}")
    user_page.get_by_role("button", name="Submit").click()
    expect(user_page.locator("#args-error")).to_contain_text("This is no JSON")
    expect(user_page.get_by_label("Args")).to_have_value("{'a': 5}")


def test_a_task_that_waits_is_cancelled_and_deleted(user_page: Page, worker: Worker) -> None:
    task_id = worker.submit(delay="1h")
    user_page.goto(f"/tasks/{task_id}")
    expect(user_page.get_by_text("in 1 h").first).to_be_visible()
    user_page.get_by_role("button", name="Cancel").click()
    expect(state(user_page)).to_have_text("cancelled")
    user_page.get_by_role("link", name="Delete…").click()
    user_page.get_by_role("button", name="Delete the task").click()
    user_page.wait_for_url("**/tasks")
    assert worker.client.get(f"/v1/tasks/{task_id}").status_code == 404


def test_a_running_task_is_asked_to_stop(user_page: Page, worker: Worker) -> None:
    task_id = worker.submit()
    task = worker.lease()
    user_page.goto(f"/tasks/{task_id}")
    user_page.get_by_role("button", name="Cancel").click()
    expect(user_page.locator("#task h1")).to_contain_text("stopping")
    assert worker.tell(task, "heartbeat")["cancelling"] is True
    worker.tell(task, "fail", error="stopped")
    expect(state(user_page)).to_have_text("cancelled")


def test_a_large_result_is_cut_and_can_be_had_whole(user_page: Page, worker: Worker) -> None:
    task_id = worker.submit()
    worker.tell(worker.lease(), "complete", result={"pages": list(range(20_000))})
    user_page.goto(f"/tasks/{task_id}")
    expect(user_page.get_by_text("This is not all of it.")).to_be_visible()
    link = user_page.get_by_role("link", name="Open the whole task as JSON").get_attribute("href")
    assert link
    whole = user_page.request.get(link)
    assert whole.json()["result"]["pages"][-1] == 19_999


def test_the_file_of_an_export_is_downloaded(admin_page: Page, admin_worker: Worker) -> None:
    task_id = admin_worker.submit("events.export", {"bucket": "_audit"})
    assert admin_worker.get(task_id, wait="30s")["status"] == "succeeded"
    admin_page.goto(f"/tasks/{task_id}")
    with admin_page.expect_download() as download:
        admin_page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "headrace-_audit.ndjson"


def test_another_ones_task_is_as_one_that_is_not_there(
    manager_page: Page, worker: Worker, opened: Opened, user_page: Page
) -> None:
    opened.watch(manager_page).forgive("404")
    task_id, unknown = worker.submit(), "01980a1c-7e4b-7c3a-9d2e-5f6a7b8c9d0e"
    seen = []
    for each in (task_id, unknown):
        answer = manager_page.goto(f"/tasks/{each}")
        assert answer
        assert answer.status == 404
        seen.append(manager_page.locator("main").inner_text().replace(each, "ID"))
    assert seen[0] == seen[1]
    manager_page.goto("/tasks")
    expect(rows(manager_page)).to_have_count(0)
    assert user_page.goto(f"/tasks/{task_id}").status == 200  # type: ignore[union-attr]  # it is a page


# --- the list -----------------------------------------------------------------------------------------------------


def test_filters_narrow_the_list_and_stay_in_the_address(user_page: Page, worker: Worker) -> None:
    worker.submit("a.kind", {"invoice": "INV-1"})
    worker.submit("a.kind", {"invoice": "INV-2"})
    worker.submit("b.kind", {"invoice": "INV-3"}, delay="1h")
    page = user_page
    page.goto("/tasks")
    expect(rows(page)).to_have_count(3)
    expect(page.locator("#chip-queued")).to_have_text("queued 2")
    page.locator("#chip-scheduled").click()
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#chip-scheduled")).to_have_attribute("aria-current", "true")
    page.locator("#chip-queued").click()  # either
    expect(rows(page)).to_have_count(3)
    page.locator("#chip-all").click()
    page.get_by_label("Type", exact=True).fill("a.kind")
    page.get_by_label("Words").fill("inv-2")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(rows(page)).to_have_count(1)
    assert re.search(r"/tasks\?type=a.kind&q=inv-2$", page.url)
    page.get_by_label("Words").fill("nowhere")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    page.get_by_role("link", name="Clear the filter").click()
    expect(rows(page)).to_have_count(3)


def test_a_filter_that_cannot_be_is_said_in_words(user_page: Page, opened: Opened) -> None:
    opened.watch(user_page).forgive("status of 400 ")
    user_page.goto("/tasks?status=asleep")
    expect(user_page.get_by_role("alert")).to_contain_text("asleep")


def test_the_list_is_refreshed_and_rows_stay_under_the_hand(user_page: Page, worker: Worker) -> None:
    first = worker.submit()
    page = user_page
    page.goto("/tasks")
    page.mouse.move(0, 0)
    expect(rows(page)).to_have_count(1)
    second = worker.submit()
    expect(rows(page)).to_have_count(2)  # nobody points at it: it comes by itself
    page.locator(f"#choose-{first}").check()
    worker.submit()
    expect(page.locator("#newer")).to_have_text("1 new")
    expect(rows(page).first).to_have_attribute("data-task", second)
    expect(page.locator(f"#choose-{first}")).to_be_checked()
    page.locator("#newer").click()
    expect(rows(page)).to_have_count(3)


def test_an_empty_list_fills_by_itself(user_page: Page, worker: Worker) -> None:
    user_page.goto("/tasks")
    expect(user_page.get_by_text("No tasks yet")).to_be_visible()
    worker.submit()
    expect(rows(user_page)).to_have_count(1)


def test_the_first_command_works(user_page: Page, worker: Worker) -> None:
    user_page.goto("/tasks")
    said = user_page.locator("#first-task").inner_text()
    found = re.search(r"curl (\S+)/v1/tasks .*-d '(.*)'", said, re.DOTALL)
    assert found, said
    answer = worker.client.post("/v1/tasks", content=found[2], headers={"content-type": "application/json"})
    assert answer.status_code == 202, answer.text
    assert found[1] == str(worker.client.base_url).rstrip("/")


def test_the_next_page_goes_on_where_the_first_ended(user_page: Page, worker: Worker) -> None:
    lines = "\n".join('{"type": "nobody.does"}' for _ in range(60))
    headers = {"content-type": "application/x-ndjson"}
    assert worker.client.post("/v1/tasks/batch", content=lines, headers=headers).status_code == 202
    user_page.goto("/tasks")
    expect(rows(user_page)).to_have_count(50)
    user_page.get_by_role("link", name="Older").click()
    expect(rows(user_page)).to_have_count(10)
    user_page.get_by_role("link", name="Newest").click()
    expect(rows(user_page)).to_have_count(50)


def test_chosen_tasks_are_cancelled_and_retried(user_page: Page, worker: Worker) -> None:
    ids = [worker.submit() for _ in range(3)]
    page = user_page
    page.goto("/tasks")
    for each in ids[:2]:
        page.locator(f"#choose-{each}").check()
    page.get_by_role("button", name="Cancel 2…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cancel 2 tasks?")
    page.get_by_role("button", name="Cancel 2 tasks").click()
    expect(page.locator("#chip-cancelled")).to_have_text("cancelled 2")
    assert [worker.get(each, "0s")["status"] for each in ids] == ["cancelled", "cancelled", "queued"]
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Retry 3…").click()
    page.get_by_role("button", name="Retry 3 tasks").click()
    expect(page.get_by_text("In their queues again: 2.")).to_be_visible()  # the third waits in its queue already
    expect(page.locator("#chip-queued")).to_have_text("queued 3")


def test_all_that_match_are_cancelled_by_a_task_of_its_own(user_page: Page, worker: Worker) -> None:
    for _ in range(3):
        worker.submit("a.kind")
    other = worker.submit("b.kind")
    page = user_page
    page.goto("/tasks?type=a.kind")
    page.get_by_text("All that match").click()
    page.get_by_role("link", name="Cancel all…").click()
    page.get_by_role("button", name="Cancel 3 tasks").click()
    expect(state(page)).to_have_text("succeeded")
    expect(page.locator("#result")).to_contain_text('"changed": 3')
    assert worker.get(other, "0s")["status"] == "queued"


def test_none_is_changed_when_none_is_chosen(user_page: Page, worker: Worker) -> None:
    worker.submit()
    user_page.goto("/tasks")
    user_page.get_by_role("button", name="Cancel…").click()
    expect(user_page.get_by_text("None is chosen.")).to_be_visible()


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


def test_a_task_of_an_administrators_list_says_whose_it_is(
    admin_page: Page, worker: Worker, user: Person, shared_server: Server
) -> None:
    task_id = worker.submit()
    admin_page.goto(f"/tasks?queue={worker.queue}")
    expect(admin_page.locator(f"[data-task='{task_id}']")).to_contain_text(user.username)
    admin_page.get_by_label("Owner").select_option("me")
    admin_page.get_by_role("button", name="Show", exact=True).click()
    expect(rows(admin_page)).to_have_count(0)
