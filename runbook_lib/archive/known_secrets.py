"""Which secrets a service uses: what its references resolve to, so that they can be taken out of everything that is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from pydantic import BaseModel

from runbook_lib.errors import ConfigurationError
from runbook_lib.service import Reference, Service
from runbook_lib.service.reference import PathReference, SecretReference
from runbook_lib.service.secret_names import names_secret

__all__ = ["known_secrets"]

_IN_URL = re.compile(r"://[^/\s:@]*:(?P<password>[^\s]+)@")
_IN_QUERY = re.compile(r"[?&](?:password|sslpassword)=(?P<password>[^&#\s]+)")
_IN_DSN = re.compile(r"\b(?:password|sslpassword)\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<bare>(?:[^\\\s]|\\.)+))")
_KUBECONFIG_KEYS = ("token", "password", "client-key-data", "id-token", "refresh-token", "access-token", "client-secret")


def known_secrets(service: Service) -> tuple[str, ...]:
    """The secrets themselves, not where they stand. What cannot be resolved now is left out: it cannot leak either."""
    found: set[str] = set()
    for name, reference in _references(service, ""):
        try:
            value = reference.resolve()
        except ConfigurationError:
            continue
        if isinstance(reference, SecretReference) or names_secret(name):
            found.add(value)
        elif isinstance(reference, PathReference) and name == "kubeconfig":
            found.update(_of_kubeconfig(Path(value)))
        found.update(_within(value))
    return tuple(sorted(found))


def _references(value: Any, name: str) -> Iterator[tuple[str, Reference]]:
    """Every reference below a model, with the name of the field or header that holds it."""
    if isinstance(value, Reference):
        yield name, value
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _references(getattr(value, field), field)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _references(item, str(key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _references(item, name)


def _within(value: str) -> Iterator[str]:
    """The password within a URL or DSN, as it is written there and as it is; the rest (host, database) is no secret."""
    for match in _IN_URL.finditer(value):
        yield from {match["password"], unquote(match["password"])}
    for match in _IN_QUERY.finditer(value):
        yield from {match["password"], unquote(match["password"])}
    for match in _IN_DSN.finditer(value):
        written = match["quoted"] if match["quoted"] is not None else match["bare"]
        yield from {written, re.sub(r"\\(.)", r"\1", written)}  # as libpq reads it


def _of_kubeconfig(path: Path) -> Iterator[str]:
    """Tokens, passwords and private keys of a kubeconfig; nothing when it cannot be read, which others will tell."""
    try:
        users = yaml.safe_load(path.read_text(encoding="utf-8")).get("users") or []
        accounts = [entry.get("user") or {} for entry in users]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError):
        return
    for account in accounts:
        yield from _named(account)


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in _KUBECONFIG_KEYS and isinstance(item, str):
                yield item
            else:
                yield from _named(item)
