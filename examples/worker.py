"""A worker for Headrace in plain Python: nothing to install. HEADRACE_URL, HEADRACE_KEY; python3 worker.py [QUEUE]

Leases tasks of the type `word.count`, keeps each alive while it works, and says how it ended. Killed at any moment, its
task is given to another worker when the lease has run out.
"""

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request

URL = os.environ.get("HEADRACE_URL", "http://127.0.0.1:8000").rstrip("/")
KEY = os.environ["HEADRACE_KEY"]
LEASE_SECONDS = 30


def word_count(args):
    return {"words": len(args["text"].split())}


HANDLERS = {"word.count": word_count}


def post(path, body):
    request = urllib.request.Request(
        URL + path, json.dumps(body).encode(), {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def beat(task, done):
    """Until `done`: say that we are alive, three times in a lease."""
    while not done.wait(LEASE_SECONDS / 3):
        try:
            post(f"/v1/tasks/{task['id']}/heartbeat", {"lease": task["lease"], "lease_seconds": LEASE_SECONDS})
        except OSError as exc:  # the server is away for a moment, or the lease is lost: the end of the task will tell
            print(exc, file=sys.stderr)


def work(task):
    done = threading.Event()
    threading.Thread(target=beat, args=(task, done), daemon=True).start()
    try:
        end, body = "complete", {"result": HANDLERS[task["type"]](task["args"])}
    except Exception as exc:  # the handler failed, the worker lives
        end, body = "fail", {"error": f"{type(exc).__name__}: {exc}"}
    finally:
        done.set()
    try:
        post(f"/v1/tasks/{task['id']}/{end}", {"lease": task["lease"], **body})
    except urllib.error.HTTPError as exc:  # 409: the lease ran out, and another worker has the task
        print(f"{task['id']}: {exc.code} {exc.read().decode()}", file=sys.stderr)


queue = sys.argv[1] if len(sys.argv) > 1 else "default"
while True:
    try:
        # One at a time: more would wait here while nobody says that they are alive, and go to somebody else.
        asked = {"max": 1, "lease_seconds": LEASE_SECONDS, "wait": "20s", "types": list(HANDLERS)}
        for leased in post(f"/v1/queues/{queue}/lease", asked)["tasks"]:
            work(leased)
    except OSError as exc:  # the server is away, or over its capacity: try again
        print(exc, file=sys.stderr)
        time.sleep(2)
