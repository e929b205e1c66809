"""Pieces of HTML. All text from outside is escaped here, and nowhere is text put into HTML in another way."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from html import escape

from runbook_lib.display.cells import Table
from runbook_lib.display.theme import CSS, TONES

__all__ = ["bullets", "card", "command", "details", "difference", "pairs", "paragraph", "table", "tag"]


def card(tone_of: str, *parts: str) -> str:
    """A card in the tone of a status; legible without its style sheet, too."""
    return f'<style>{CSS}</style><div class="rbk {TONES.get(tone_of, "plain")}">{"".join(parts)}</div>'


def tag(word: str) -> str:
    """A status as a word in its colour."""
    return f'<span class="tag {TONES.get(word, "plain")}">{escape(word.replace("_", " "))}</span>'


def paragraph(text: str, *, before: str = "", name: str = "") -> str:
    """A paragraph of plain text; `before` is HTML that stands in front of it."""
    label = f' class="{name}"' if name else ""
    return f"<p{label}>{before}{escape(text)}</p>"


def bullets(lines: Iterable[str]) -> str:
    """A list of plain texts; nothing when there are none."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def pairs(entries: Iterable[tuple[str, str]]) -> str:
    """Names and plain texts; empty ones are left out."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries if text)
    return f'<dl class="facts">{rows}</dl>' if rows else ""


def command(text: str) -> str:
    """A shell command to copy."""
    return f'<pre class="code">{escape(text)}</pre>' if text else ""


def details(summary: str, body: str, *, open_: bool = False) -> str:
    """HTML that unfolds; shown in full where a viewer does not know folding."""
    return f"<details{' open' if open_ else ''}><summary>{escape(summary)}</summary>{body}</details>" if body else ""


def table(caption: str, content: Table) -> str:
    """A table in a box of its own, which scrolls when it is too wide."""
    heads = "".join(_cell("th", head, number) for head, number in zip(content.heads, content.numeric, strict=True))
    rows = "".join(
        "<tr>" + "".join(_cell("td", text, number) for text, number in zip(row, content.numeric, strict=True)) + "</tr>"
        for row in content.rows
    )
    more = f"<p>{content.more:,} more rows in the archive.</p>" if content.more else ""
    named = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="box"><table>{named}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>{more}'


def difference(before: str, after: str) -> str:
    """What changes, line by line, with `-` and `+` in front and three lines around."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=3))[2:]
    if not lines:
        return ""
    marks = {"+": "add", "-": "del"}
    shown = [
        f'<span class="{marks[line[0]]}">{escape(line)}</span>' if line[:1] in marks else escape(line)
        for line in lines
        if not line.startswith("@@")
    ]
    return '<pre class="code">' + "\n".join(shown) + "</pre>"


def _cell(element: str, text: str, number: bool) -> str:
    return f"<{element}{' class=num' if number else ''}>{escape(text)}</{element}>"
