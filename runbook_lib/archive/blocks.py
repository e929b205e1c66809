"""An executed notebook as the blocks of a page: text, folded code, cards, figures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Block", "Section", "blocks_of", "sections_of"]

_PLOTLY = "application/vnd.plotly.v1+json"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_STYLE = {"style", "script"}
_TAGS = {
    "a", "b", "blockquote", "br", "caption", "code", "dd", "details", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "hr", "i",
    "li", "ol", "p", "pre", "span", "strong", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {"*": {"class"}, "a": {"href"}, "details": {"open"}, "h2": {"id"}, "h3": {"id"}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A piece of the page. `html` is sanitised; `text` is plain; `picture` base64; `json` cannot end its script element."""

    kind: Literal["markdown", "code", "html", "figure", "picture", "output", "error"]
    html: str = ""
    text: str = ""
    picture: str = ""
    json: str = ""
    name: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the second level."""

    title: str
    anchor: str


def sections_of(cells: Sequence[Mapping[str, Any]]) -> list[Section]:
    """The sections of the notebook."""
    titles = [
        line[3:].strip()
        for cell in cells
        if cell["cell_type"] == "markdown"
        for line in cell["source"].splitlines()
        if line.startswith("## ")
    ]
    return [Section(title, _anchor(title)) for title in titles]


def blocks_of(cells: Sequence[Mapping[str, Any]]) -> list[Block]:
    """The cells in order, their outputs sanitised: what a log line says must not become part of the page."""
    found: list[Block] = []
    for cell in cells:
        source = str(cell["source"])
        if cell["cell_type"] == "markdown":
            found.append(Block(kind="markdown", html=_markdown(source)))
        elif cell["cell_type"] == "code":
            outputs = list(cell.get("outputs") or ())
            failed = any(output["output_type"] == "error" for output in outputs)
            if source.strip():
                found.append(Block(kind="code", text=source, failed=failed))
            for output in outputs:
                found.extend(_output(output, f"figure-{len(found)}"))
    return found


def _output(output: Mapping[str, Any], name: str) -> Iterator[Block]:
    kind = output["output_type"]
    if kind == "stream":
        yield Block(kind="output", text=_ANSI.sub("", str(output["text"])))
    elif kind == "error":
        traceback = "\n".join(output.get("traceback") or [f"{output.get('ename')}: {output.get('evalue')}"])
        yield Block(kind="error", text=_ANSI.sub("", traceback))
    else:
        yield from _bundle(output.get("data") or {}, name)


def _bundle(data: Mapping[str, Any], name: str) -> Iterator[Block]:
    text, picture = str(data.get("text/plain", "")), str(data.get("image/png", "")).replace("\n", "")
    if _PLOTLY in data and picture:
        told = json.dumps(data[_PLOTLY], separators=(",", ":")).replace("<", "\\u003c")
        yield Block(kind="figure", json=told, picture=picture, text=text, name=name)
    elif picture:
        yield Block(kind="picture", picture=picture, text=text)
    elif "text/html" in data:
        yield Block(kind="html", html=_clean(str(data["text/html"])))
    elif text and "application/vnd.jupyter.widget-view+json" not in data:
        yield Block(kind="output", text=text)


def _markdown(source: str) -> str:
    import mistune

    html = str(mistune.create_markdown(escape=True, plugins=["table"])(source))
    return re.sub(r"<h2>(.*?)</h2>", lambda found: f'<h2 id="{_anchor(found[1])}">{found[1]}</h2>', _clean(html))


def _clean(html: str) -> str:
    import nh3

    return nh3.clean(html, tags=_TAGS, attributes=_ATTRIBUTES, clean_content_tags=_STYLE, url_schemes={"http", "https", "mailto"})


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
