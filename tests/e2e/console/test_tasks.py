"""Tasks in the console: submitted, watched, retried, cancelled, found, and changed many at a time. The test is the
worker of types that nobody has a handler for."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import Opened
from tests.e2e.console.worker import Worker, rows, state

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
