"""What differs in content where a rollout reads another config map than before: tools that name a map by its content's hash
(kustomize, Helm) never change one, and the difference between the revisions shows but a new name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from runbook_lib.checks.asking import Answers, Question, ask
from runbook_lib.checks.context import CheckContext
from runbook_lib.models.frame import Frame, frame
from runbook_lib.service.secret_names import names_secret
from runbook_lib.sources.templates import hidden_value

_ENV_FROM = re.compile(r"^configmap/(?P<map>\S+?)(?: with prefix (?P<prefix>\S+))?$")
_ENV = re.compile(r"^\(from config map (?P<map>\S+?), key (?P<key>.+)\)$")
_VOLUME = re.compile(r"^volumes\[.*\]\.configMap\.name$")
_PROJECTED = re.compile(r"^volumes\[.*\]\.projected\.sources$")
_LINE = re.compile(r"^\s*(?:-\s+|export\s+)?\"?(?P<name>[\w./-]+)\"?\s*[:=]\s*(?P<value>\S.*?)[\s,]*$")
_OTHER_LINES = "(other lines)"

Row = Mapping[Any, Any]
_Content = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Source:
    """A config map that pods read, all of it or one key, whose settings they see below a prefix."""

    name: str
    key: str = ""
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """A difference between revisions with what differs in the config maps that it names; `unread`: why it is not all of it."""

    difference: Frame | None
    unread: str = ""


@dataclass(frozen=True, slots=True)
class _Swap:
    """The config maps that one row of the difference takes away, and those that come instead."""

    row: Row
    old: list[_Source] = field(default_factory=list)
    new: list[_Source] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        return {one.name for one in (*self.old, *self.new)}


def with_contents(context: CheckContext, difference: Frame, *, seconds: float) -> Content:
    """Add to a difference (columns path, kind, old, new) the settings that differ between the config maps that it swaps."""
    swaps = [_swap(row) for row in difference.to_dict("records")]
    names = sorted(set().union(*(one.names for one in swaps)))
    if not names:
        return Content(difference)
    cluster = context.sources.cluster
    known = ask({name: Question(cluster, partial(cluster.config_map, name)) for name in names}, deadline_seconds=seconds)
    rows = [row for one in swaps for row in _told(one, known)]
    distinct = {(row["path"], row["old"], row["new"]): row for row in rows}
    missing = [f"configmap/{name} ({known.why_missing(name)})" for name in names if known.get(name) is None]
    return Content(frame(list(distinct.values()), columns=["path", "old", "new", "kind"]), ", ".join(missing))


def _swap(row: Row) -> _Swap:
    old, new = (list(_sources(str(row["path"]), row[side])) for side in ("old", "new"))
    if any(one.key for one in (*old, *new)) and not (old and new):  # a setting of its own became one of a map, or the reverse
        return _Swap(row)
    return _Swap(row, [one for one in old if one not in new], [one for one in new if one not in old])


def _sources(path: str, value: Any) -> Iterator[_Source]:
    """The config maps that one side of a row names, in the order in which they are read."""
    if not isinstance(value, str):
        return
    if path.endswith(".envFrom"):
        found = (_ENV_FROM.match(one) for one in value.split(", "))
        yield from (_Source(one["map"], prefix=one["prefix"] or "") for one in found if one)
    elif one := _ENV.match(value):
        yield _Source(one["map"], key=one["key"])
    elif _VOLUME.match(path):
        yield _Source(value)
    elif _PROJECTED.match(path):
        with suppress(ValueError):  # it may be hidden
            maps = (source.get("configMap") or {} for source in json.loads(value))
            yield from (_Source(one["name"]) for one in maps if one.get("name"))


def _told(swap: _Swap, known: Answers) -> Iterable[Row]:
    """The row, and what it means; of a single setting whose value is the same in another map, nothing."""
    if not swap.names or any(known.get(name) is None for name in swap.names):
        return [swap.row]
    old, new = ([(one, known.get(one.name)["data"]) for one in side] for side in (swap.old, swap.new))
    if swap.old and swap.old[0].key:
        (before, was), (after, now) = old[0], new[0]
        shown = _shown(_setting_of(str(swap.row["path"])), was.get(before.key), now.get(after.key))
        return [] if shown is None else [{**swap.row, "old": shown[0], "new": shown[1]}]
    was, now = _merged(old), _merged(new)
    pairs = {name: _shown(name, was.get(name), now.get(name)) for name in sorted(was.keys() | now.keys())}
    # As a setting of the template: it came with the revision, and goes with it.
    edits = [{"path": name, "old": pair[0], "new": pair[1], "kind": "env"} for name, pair in pairs.items() if pair is not None]
    return [swap.row, *edits]


def _setting_of(path: str) -> str:
    return path.rpartition("[")[2].rstrip("]")


def _merged(sources: Iterable[tuple[_Source, _Content]]) -> dict[str, str]:
    """What pods see of several maps: of two with the same key the later one wins."""
    return {f"{source.prefix}{name}": value for source, data in sources for name, value in _settings(data)}


def _settings(data: _Content) -> Iterator[tuple[str, str]]:
    """The settings of a config map; of a file among them, those that its lines give a name."""
    for key, value in data.items():
        if "\n" not in value.strip() or names_secret(key, value):
            yield key, value
            continue
        named: dict[str, list[str]] = {}
        for line in value.splitlines():
            found = _LINE.match(line)
            named.setdefault(f"{key}: {found['name']}" if found else key, []).append(found["value"] if found else line)
        yield from ((name, ", ".join(values) if name != key else "\n".join(values)) for name, values in named.items())


def _shown(name: str, old: str | None, new: str | None) -> tuple[str | None, str | None] | None:
    """Both values as they may be shown; None when they are the same."""
    if old == new:
        return None
    was, now = _hidden(name, old), _hidden(name, new)
    return (was, f"{now} (changed)") if was is not None and was == now else (was, now)


def _hidden(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    shown = hidden_value(name.rpartition(": ")[2], value)
    return _OTHER_LINES if "\n" in shown else shown
