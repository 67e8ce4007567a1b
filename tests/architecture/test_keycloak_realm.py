"""The realm file for Keycloak fits the settings and the how-to, and holds no secret."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from headrace.auth.oidc_arrivals import parse_role_map
from headrace.config import Settings
from headrace.model.principal import Role

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "deploy/keycloak/headrace-realm.json").read_text()
GUIDE = (ROOT / "docs/howto/use-keycloak.md").read_text()
CALLBACK = "http://127.0.0.1:8000/v1/auth/oidc/callback"


@pytest.fixture
def realm() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(TEXT)
    return loaded


def default(name: str) -> str:
    return str(Settings.model_fields[name].default)


def client(realm: dict[str, Any], client_id: str) -> dict[str, Any]:
    (found,) = [one for one in realm["clients"] if one["clientId"] == client_id]
    assert isinstance(found, dict)
    return found


def test_the_client_is_the_one_of_the_settings(realm: dict[str, Any]) -> None:
    ours = client(realm, default("oidc_client_id"))
    assert ours["redirectUris"] == [CALLBACK]
    assert ours["publicClient"] is (Settings.model_fields["oidc_client_secret"].default.get_secret_value() == "")


def test_the_browser_client_has_the_code_flow_with_pkce_and_no_other(realm: dict[str, Any]) -> None:
    ours = client(realm, "headrace")
    assert ours["attributes"]["pkce.code.challenge.method"] == "S256"
    flows = ("standard", "implicit")
    assert [ours[f"{flow}FlowEnabled"] for flow in flows] == [True, False]
    assert not ours["directAccessGrantsEnabled"]
    assert not ours["serviceAccountsEnabled"]


def test_every_client_puts_our_audience_into_access_tokens(realm: dict[str, Any]) -> None:
    assert default("oidc_audience") == ""  # then it is the client id
    for one in realm["clients"]:
        (mapper,) = one["protocolMappers"]
        assert mapper["protocolMapper"] == "oidc-audience-mapper"
        assert mapper["config"]["included.client.audience"] == default("oidc_client_id")
        assert mapper["config"]["access.token.claim"] == "true"
        assert mapper["config"]["id.token.claim"] == "false"


def test_the_roles_are_those_of_the_map(realm: dict[str, Any]) -> None:
    mapped = parse_role_map(default("oidc_role_map"))
    assert mapped == {"headrace-admin": Role.ADMIN, "headrace-manager": Role.MANAGER}
    assert {role["name"] for role in realm["roles"]["realm"]} == set(mapped)


def test_keycloak_makes_its_own_scopes(realm: dict[str, Any]) -> None:
    """With `clientScopes` in the file it would make none: no `sub` and no roles in a token."""
    assert "clientScopes" not in realm
    assert not any("defaultClientScopes" in one for one in realm["clients"])


def test_the_realm_holds_no_user_and_no_secret(realm: dict[str, Any]) -> None:
    assert "users" not in realm
    assert re.findall(r'"(?:\w*secret\w*|credentials|value|privateKey|components)"', TEXT, re.IGNORECASE) == []


def test_the_guide_says_what_the_realm_holds(realm: dict[str, Any]) -> None:
    assert f"/realms/{realm['realm']}" in GUIDE
    named = [realm["realm"], CALLBACK, *(one["clientId"] for one in realm["clients"])]
    named += [role["name"] for role in realm["roles"]["realm"]]
    assert [name for name in named if name not in GUIDE] == []


def test_the_guide_lists_every_setting_of_oidc_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(HEADRACE_OIDC_\w+)` \| (.+?) \|", GUIDE, re.MULTILINE))
    names = {f"HEADRACE_{name.upper()}": name for name in Settings.model_fields if name.startswith("oidc_")}
    assert rows.keys() == names.keys()
    for setting, shown in rows.items():
        value = Settings.model_fields[names[setting]].default
        expected = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        assert shown.startswith(f"`{expected}`" if expected else "empty"), setting
