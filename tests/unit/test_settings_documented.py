"""Every setting is in `.env.example` and in the reference, with its default of today."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace import config
from tools import document_settings

REMEDY = "run .venv/bin/python tools/document_settings.py"


@pytest.mark.parametrize("name", config.Settings.model_fields)
def test_a_setting_is_in_the_example_and_in_the_reference(name: str) -> None:
    variable = f"HEADRACE_{name.upper()}"
    assert f"\n#{variable}=" in document_settings.ENV_EXAMPLE.read_text(), REMEDY
    assert f"| `{variable}` |" in document_settings.PAGE.read_text(), REMEDY


@pytest.mark.parametrize("name", config.Settings.model_fields)
def test_a_setting_says_what_it_does(name: str) -> None:
    assert config.Settings.model_fields[name].description


def test_the_example_is_what_the_settings_are() -> None:
    assert document_settings.ENV_EXAMPLE.read_text() == document_settings.env_example(), REMEDY


def test_the_reference_is_what_the_settings_are() -> None:
    assert document_settings.PAGE.read_text() == document_settings.settings_page(), REMEDY


def test_the_example_with_everything_uncommented_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in config.Settings.model_fields:
        monkeypatch.delenv(f"HEADRACE_{name.upper()}", raising=False)
    example = document_settings.ENV_EXAMPLE.read_text()
    (tmp_path / ".env").write_text(example.replace("\n#HEADRACE_", "\nHEADRACE_"))
    monkeypatch.chdir(tmp_path)
    assert config.load() == config.Settings(_env_file=None)
