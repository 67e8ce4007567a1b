"""The documents lead where they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tools/*.md")])
KINDS = {"tutorial", "howto", "reference", "explanation"}
DECISIONS = sorted(path for path in ROOT.glob("docs/adr/*.md") if path.name != "README.md")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_that_names_a_source_file_is_right(page: Path) -> None:
    named = re.findall(r"`((?:src/headrace|tools|tests)/[\w./-]+\.(?:py|whl|sha256))`", page.read_text())
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name in KINDS], ids=name_of)
def test_every_page_is_in_the_index(page: Path) -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    assert page.relative_to(ROOT / "docs").as_posix() in index


@pytest.mark.parametrize("page", DECISIONS, ids=name_of)
def test_a_decision_has_its_four_headings_and_is_listed(page: Path) -> None:
    assert re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE) == ["Status", "Context", "Decision", "Consequences"]
    assert f"({page.name})" in (page.parent / "README.md").read_text()


def test_the_changelog_has_the_version_of_the_package_or_says_it_is_unreleased() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{version[1]}]" in changelog or f"What will be {version[1]}" in changelog
