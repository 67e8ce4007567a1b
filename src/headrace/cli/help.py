"""Help texts of more than a sentence."""

from __future__ import annotations


def paragraphs(text: str) -> str:
    """The text with each paragraph on one line: the terminal wraps it, and typer keeps line breaks."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
