"""The levels of log lines: the words that loggers write, where they write them."""

from __future__ import annotations

import re

from headrace.model.event import LEVEL_NAMES, LEVELS

_WORDS = (
    "trace debug info notice warn warning error err critical crit fatal severe alert emerg emergency panic verbose "
    "information fine finer finest"
)
_ANY = "|".join(sorted(_WORDS.split(), key=len, reverse=True))
_WORD = re.compile(rf"(?<![A-Za-z])(?:{_ANY})(?![A-Za-z])", re.IGNORECASE)
_LABELLED = re.compile(r"(?:level|lvl|severity)[\"']?\s?[=:]\s?[\"']?([A-Za-z]+)", re.IGNORECASE)
_OPENED = re.compile(r"[\[<(|]\s*(?:\w+:)?\Z")
_OPENING = re.compile(r"[\[<(|][\[<(| ]*(?:\w+:)?")
_CLOSED = re.compile(r"\s*[\]>)|]")
_SEPARATOR = re.compile(r"\s*[\]>)|:]?\s*[-:|]?\s*")
_WITHIN = 160  # characters: beyond this a word is part of what is said
_GLUE = frozenset("_/.=-")  # of which paths, options and identifiers are made
_STATUS = re.compile(r'" ([1-5])\d\d (?:\d+|-)(?: |$)')
_SYSLOG = ("critical", "critical", "critical", "error", "warning", "info", "info", "debug")


def known_level(word: str) -> str | None:
    """Headrace's name of a level by any of its spellings."""
    index = LEVEL_NAMES.get(word.lower())
    return None if index is None else LEVELS[index]


def find_level(text: str) -> tuple[str | None, str]:
    """The level that a line names, and the line without it when it stands in front."""
    lowered = text[:_WITHIN].lower()
    if not _may_name_level(lowered):
        return None, text
    if ("level" in lowered or "lvl" in lowered or "severity" in lowered) and (label := _LABELLED.search(text)):
        return known_level(label[1]), text
    for match in _WORD.finditer(text, 0, _WITHIN):
        if _is_level(text, match.start(), match.end()):
            return known_level(match[0]), _without(text, match.start(), match.end())
    return None, text


def _is_level(text: str, start: int, end: int) -> bool:
    """Whether the word there is a level, not part of a sentence: ERROR, [error], <Warning>, core:error], `error: `."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if text[start:end].isupper() and not (before.isalnum() or after.isalnum() or before in _GLUE or after in _GLUE):
        return True
    if after == ":" and (not before or before in " \t:]"):
        return text[end + 1 : end + 2] in ("", " ", "\t")
    if after == "\t" and before in ("", "\t"):
        return True
    return bool(_CLOSED.match(text, end) and _OPENED.search(text[max(0, start - 30) : start]))


def _without(text: str, start: int, end: int) -> str:
    """The text without its level, if it begins with it: [error] what → what."""
    if start and not _OPENING.fullmatch(text, 0, start):
        return text
    separator = _SEPARATOR.match(text, end)
    return text[separator.end() if separator else end :] or text


def status_level(text: str) -> str | None:
    """The level of a line of a web server's access log: by its status."""
    match = _STATUS.search(text)
    if match is None:
        return None
    return {"5": "error", "4": "warning"}.get(match[1], "info")


def syslog_level(priority: int) -> str:
    """The level of a syslog priority (RFC 5424, 6.2.1): its lowest three bits are the severity."""
    return _SYSLOG[priority & 7]


def _may_name_level(text: str) -> bool:
    """Whether a closer look (5 µs) is worth while: every word contains one of these. 0.5 µs."""
    return (
        "err" in text or "info" in text or "warn" in text or "debug" in text or "crit" in text or "fatal" in text
        or "trace" in text or "notice" in text or "sever" in text or "alert" in text or "emerg" in text
        or "panic" in text or "verbose" in text or "fine" in text or "level" in text or "lvl" in text
    )  # fmt: skip
