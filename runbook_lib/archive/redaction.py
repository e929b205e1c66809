"""Taking secrets and personal data out of everything, before it is written anywhere. Pure: no files, no clock."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, TypeVar, cast
from urllib.parse import quote, quote_plus

import pandas as pd

from runbook_lib.archive.masking import MASK, is_reference
from runbook_lib.archive.patterns import RULES
from runbook_lib.service.secret_names import names_secret, option_value_follows

__all__ = ["MASK", "Redaction"]

Value = TypeVar("Value")

_LONG_ENOUGH_ANYWHERE = 8
_LONG_ENOUGH_AT_ALL = 4
_NAMING_COLUMNS = ("key", "name", "path", "setting", "variable", "env", "header", "what")
_VALUE_COLUMNS = ("value", "old", "new", "before", "after", "default", "data")


class Redaction:
    """Knows the secrets of one service, and what secrets and personal data look like in general.

    A known secret of 8 characters or more is replaced wherever it stands, also within a word, URL-encoded, HTML-escaped or in
    base64; one of 4 to 7 only as a word of its own; a shorter one only where its name gives it away (`password=abc`), since it
    would be found in half of all text. Applying it twice is the same as once.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret.strip() for secret in secrets if len(secret.strip()) >= _LONG_ENOUGH_AT_ALL}
        self._known = _known_pattern(known)

    def text(self, text: str) -> str:
        """The text without secrets and personal data; `[redacted]` stands in their place."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        small = text.lower()
        for rule in RULES:
            if not rule.hints or any(hint in small for hint in rule.hints):
                text = rule.pattern.sub(rule.replace, text)
        return text

    def value(self, value: Value) -> Value:
        """The same for what holds text: mappings, sequences, dataclasses and frames, at any depth; other values as they are.

        What stands under the name of a secret (`{"db_password": …}`) is replaced whatever it looks like.
        """
        return cast(Value, self._any(value))

    def _any(self, value: Any) -> Any:
        if isinstance(value, str):
            # An enumeration's member is a name of ours, and would no longer be a member.
            return self.text(value) if type(value) is str else value
        if isinstance(value, pd.DataFrame):
            return self.frame(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, list | tuple | set | frozenset):
            items = self._elements(value) if isinstance(value, list | tuple) else [self._any(item) for item in value]
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        if isinstance(value, bytes):
            return self.text(value.decode("utf-8", "backslashreplace")).encode()
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._dataclass(value)
        return value

    def _elements(self, values: list[Any] | tuple[Any, ...]) -> list[Any]:
        """The elements of a list, in which an option gives the next one away (`--password`, `abc`), or a name in a pair."""
        items = [self._any(item) for item in values]
        for place, (before, item) in enumerate(pairwise(values), start=1):
            if not (isinstance(before, str) and isinstance(item, str)):
                continue
            if before.startswith("-"):
                given = option_value_follows(before) and not item.startswith("-")
            else:
                pair = len(values) == 2 and names_secret(before, item) and not re.fullmatch(r"[a-z_]+", item)
                given = pair or option_value_follows(before)
            if given:
                items[place] = self._hidden(item)
        return items

    def frame(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with every text in it redacted, its provenance (`attrs`) too. The one given is left alone."""
        clean = frame.copy()
        for place, column in enumerate(frame.columns):
            series = frame.iloc[:, place]
            if not (pd.api.types.is_object_dtype(series.dtype) or pd.api.types.is_string_dtype(series.dtype)):
                continue
            hidden = names_secret(str(column))
            values = [self._hidden(item) if hidden else self._any(item) for item in series]
            column_of: Any = pd.Series(values, index=frame.index, dtype=series.dtype)
            clean.isetitem(place, column_of)
        self._named_rows(clean)
        clean.attrs = {key: self._any(value) for key, value in frame.attrs.items()}
        return clean

    def _named_rows(self, frame: pd.DataFrame) -> None:
        """Rows such as `DB_PASSWORD | old | new`: the name in one column gives away the values in others."""
        names = [column for column in frame.columns if str(column).lower() in _NAMING_COLUMNS]
        places = [place for place, column in enumerate(frame.columns) if str(column).lower() in _VALUE_COLUMNS]
        for column in names:
            named = [isinstance(name, str) and names_secret(name) for name in frame[column]]
            for place in places if any(named) else ():
                series = frame.iloc[:, place]
                values = [self._hidden(item) if hit else item for item, hit in zip(series, named, strict=True)]
                column_of: Any = pd.Series(values, index=frame.index, dtype=object)
                frame.isetitem(place, column_of)

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        clean = {
            self._any(key): self._hidden(item) if isinstance(key, str) and names_secret(key, item) else self._any(item)
            for key, item in value.items()
        }
        name = value.get("name")
        if isinstance(name, str) and "value" in value and names_secret(name, value["value"]):
            clean["value"] = self._hidden(value["value"])
        return _like(value, clean)

    def _hidden(self, value: Any) -> Any:
        """A value whose name says that it is a secret. Structure below it (`secret: {secretName: …}`) is looked into."""
        if isinstance(value, str):
            return self.text(value) if is_reference(value.strip()) else MASK
        if isinstance(value, int | float) and not isinstance(value, bool):
            return MASK if value == value and abs(value) > 999 else value
        return self._any(value)

    def _dataclass(self, value: Any) -> Any:
        changed = {}
        for field in dataclasses.fields(value):
            if field.init:
                before = getattr(value, field.name)
                after = self._any(before)
                if after is not before:
                    changed[field.name] = after
        return dataclasses.replace(value, **changed) if changed else value


def _like(original: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """Keep the kind of mapping where it can be built from a dict (a notebook's nodes have attributes)."""
    kind = type(original)
    if kind is dict:
        return items
    build: Callable[[dict[Any, Any]], Any] = kind if issubclass(kind, dict) else dict
    return build(items)


def _known_pattern(secrets: set[str]) -> re.Pattern[str] | None:
    """One pattern for all known secrets in all their spellings, the longest first."""
    anywhere = {spelling for secret in secrets if len(secret) >= _LONG_ENOUGH_ANYWHERE for spelling in _spellings(secret)}
    words = {secret for secret in secrets if len(secret) < _LONG_ENOUGH_ANYWHERE}
    parts = [re.escape(text) for text in sorted(anywhere, key=len, reverse=True)]
    parts += [rf"(?<![\w-]){re.escape(text)}(?![\w-])" for text in sorted(words, key=len, reverse=True)]
    return re.compile("|".join(parts)) if parts else None


def _spellings(secret: str) -> set[str]:
    """The secret as it may stand in text: as it is, in a URL, in HTML, in JSON, and within base64."""
    data = secret.encode()
    spelled = {secret, quote(secret, safe=""), quote_plus(secret), html.escape(secret), repr(secret)[1:-1]}
    spelled |= {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    # Within base64 a secret looks different at each of three offsets; the characters that it shares with its neighbours are left.
    for offset in range(3):
        padded = b"\0" * offset + data
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            first = -(-offset * 4 // 3)
            last = len(padded) * 8 // 6
            spelled.add(encode(padded).decode()[first:last])
    return {text for text in spelled if len(text) >= _LONG_ENOUGH_ANYWHERE}
