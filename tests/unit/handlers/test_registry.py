"""Which handlers there are, and what is said when that cannot be known."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import Unusable
from headrace.handlers.registry import load


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of modules, which is the current one; forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


SHOP = '''
from __future__ import annotations
from headrace.handlers import Context, Retry, task

@task("shop.send", retry=Retry(first=2), timeout=5, max_attempts=3)
async def send(order_id: int, note: str = "", *, ctx: Context) -> None:
    """Sends an
    order.

    More of it.
    """
'''


def test_the_built_in_handlers_are_always_there() -> None:
    assert set(load().kinds()) == {"add", "http.request"}


def test_a_module_of_the_current_directory_brings_its_handlers(project: Path) -> None:
    (project / "shop_a.py").write_text(SHOP)
    kind = load(["shop_a"]).kinds()["shop.send"]
    assert (kind.timeout, kind.max_attempts, kind.retry.first) == (5, 3, 2)
    assert (kind.description, kind.house) == ("Sends an order.", False)
    assert [item.field for item in kind.check(b'{"note":1}')] == ["args.order_id", "args.note"]


def test_the_modules_of_a_package_bring_theirs(project: Path) -> None:
    (project / "shop_b").mkdir()
    (project / "shop_b" / "__init__.py").write_text("from shop_b import mail\n")
    (project / "shop_b" / "mail.py").write_text(SHOP)
    assert "shop.send" in load(["shop_b"]).kinds()
    assert "shop.send" in load(["shop_b", "shop_b.mail"]).kinds(), "the same one twice is no second one"


@pytest.mark.parametrize(("text", "reason"), [
    ("import no_such_thing", "cannot import shop_c: ModuleNotFoundError: No module named 'no_such_thing'"),
    ("1 +", "cannot import shop_c: SyntaxError"),
    ("import sys; sys.exit(3)", "cannot import shop_c: SystemExit: 3"),
    ("x = 1", "shop_c has no handlers"),
    ("from headrace.handlers import task\n@task('x')\ndef f(a): ...", "the parameter 'a' needs a type"),
    ("from headrace.handlers import task\n@task('x y')\ndef f(): ...", "a name has letters"),
    ("from headrace.handlers import task\n@task('x', timeout=0)\ndef f(): ...", "timeout=0"),
    ("from headrace.handlers import task\n@task('x')\ndef f():\n  yield", "it yields"),
    ("from headrace.handlers import task\n@task('x')\ndef f(): ...\n@task('x')\ndef g(): ...",
     "two handlers are named 'x': shop_c.f and shop_c.g"),
    ("from headrace.handlers import task\n@task('add')\ndef f(): ...", "two handlers are named 'add'"),
])  # fmt: skip
def test_what_is_wrong_is_said_for_people(project: Path, text: str, reason: str) -> None:
    (project / "shop_c.py").write_text(text)
    with pytest.raises(Unusable, match=r"^HEADRACE_TASK_MODULES: ") as raised:
        load(["shop_c"])
    assert reason in raised.value.detail


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(Unusable, match=r"HEADRACE_OUTBOUND_NETWORKS: .*10\.0\.0\.1/8"):
        load(networks=["10.0.0.1/8"])


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(Unusable) as raised:
        load(["shop.nowhere"])
    reason = "cannot import shop.nowhere: ModuleNotFoundError: No module named 'shop'"
    assert raised.value.detail == f"HEADRACE_TASK_MODULES: {reason}"
