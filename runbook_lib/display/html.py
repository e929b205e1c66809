"""Pieces of HTML. All text from outside is escaped here, and nowhere is text put into HTML in another way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape as _escape

from runbook_lib.display.cells import Table
from runbook_lib.display.characters import visible
from runbook_lib.display.text import hunks
from runbook_lib.display.theme import CSS, TONES

__all__ = [
    "bullets",
    "card",
    "command",
    "details",
    "difference",
    "escape",
    "heading",
    "pairs",
    "paragraph",
    "rows",
    "table",
    "tag",
]

_LONG, _BRIEF = 160, 24


def escape(text: str) -> str:
    """Any text as HTML that shows it and does nothing."""
    return _escape(visible(text))


def card(tone_of: str, *parts: str) -> str:
    """A card in the tone of a status; legible without its style sheet, too."""
    return f'<style>{CSS}</style><div class="rbk {TONES.get(tone_of, "plain")}">{"".join(parts)}</div>'


def heading(text: str, *, status: str = "", word: str = "") -> str:
    """What the card is about, after its status as a word."""
    return f'<h4 class="name">{tag(status, word) if status else ""}{escape(text)}</h4>'


def tag(status: str, word: str = "") -> str:
    """A status as a word in its colour."""
    return f'<span class="tag {TONES.get(status, "plain")}">{escape((word or status).replace("_", " "))}</span> '


def paragraph(text: str, *, before: str = "", name: str = "") -> str:
    """A paragraph of plain text, nothing when there is none; `before` is HTML that stands in front of it."""
    label = f' class="{name}"' if name else ""
    return f"<p{label}>{before}{escape(text)}</p>" if text else ""


def bullets(lines: Iterable[str], *, before: str = "", name: str = "") -> str:
    """A list of plain texts; nothing when there are none. `before` is a word in front of each."""
    label = f' class="{name}"' if name else ""
    lead = f"<strong>{escape(before)}</strong> " if before else ""
    items = "".join(f"<li>{lead}{escape(line)}</li>" for line in lines)
    return f"<ul{label}>{items}</ul>" if items else ""


def pairs(entries: Iterable[tuple[str, str]]) -> str:
    """Names and plain texts; empty ones are left out."""
    shown = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries if text)
    return f'<dl class="facts">{shown}</dl>' if shown else ""


def command(text: str) -> str:
    """A shell command to copy."""
    return f'<pre class="code">{escape(text)}</pre>' if text else ""


def details(summary: str, body: str, *, open_: bool = False) -> str:
    """HTML that unfolds; shown in full where a viewer does not know folding."""
    return f"<details{' open' if open_ else ''}><summary>{escape(summary)}</summary>{body}</details>" if body else ""


def table(caption: str, content: Table) -> str:
    """A table in a box of its own, which scrolls when it is too wide. Long cells unfold."""
    shown = [
        (
            "",
            [f"<td{_kind(text, number)}>{_folded(text)}</td>" for text, number in zip(row, content.numeric, strict=True)],
        )
        for row in content.rows
    ]
    return rows(caption, content.heads, shown, numeric=content.numeric) + paragraph(", ".join(content.left_out), name="soft")


def rows(
    caption: str, heads: Sequence[str], body: Iterable[tuple[str, Sequence[str]]], *, numeric: Sequence[bool] | None = None
) -> str:
    """A table of cells that are HTML already; each row with its class."""
    aligned = numeric or [False] * len(heads)
    head = "".join(
        f'<th scope="col"{" class=num" if number else ""}>{escape(name)}</th>'
        for name, number in zip(heads, aligned, strict=True)
    )
    lines = "".join(f"<tr{f' class={name}' if name else ''}>{''.join(cells)}</tr>" for name, cells in body)
    named = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="box"><table>{named}<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def difference(before: str, after: str) -> str:
    """What changes, line by line, with `-` and `+` in front, so that it can be read without colour."""
    marks = {"+": "add", "-": "del"}
    shown = [
        f'<span class="{marks[line[0]]}">{escape(line)}</span>' if line[:1] in marks else escape(line)
        for line in hunks(before, after)
    ]
    return f'<pre class="code">{chr(10).join(shown)}</pre>' if shown else ""


def _kind(text: str, number: bool) -> str:
    if number:
        return " class=num"
    return " class=brief" if len(text) <= _BRIEF else " class=long" if len(text) > _LONG else ""


def _folded(text: str) -> str:
    """A log line with its traceback takes one line until it is asked for."""
    if len(text) <= _LONG:
        return escape(text)
    first = " ".join(text[:_LONG].split())
    return details(f"{first}…", f'<pre class="code">{escape(text)}</pre>')
