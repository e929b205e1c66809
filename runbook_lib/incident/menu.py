"""What a notebook reaches by Tab: `incident.check.<TAB>` lists this playbook's steps and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Menu(Generic[Answer]):
    """Named calls as attributes, each with its own docstring."""

    def __init__(self, kind: str, entries: Mapping[str, tuple[str, Callable[..., Answer]]]) -> None:
        self._kind = kind
        self._entries = dict(entries)

    def __getattr__(self, name: str) -> Callable[..., Answer]:
        if name.startswith("_") or name not in self._entries:
            known = ", ".join(sorted(self._entries))
            raise AttributeError(f"this runbook has no {self._kind} {name!r}; it has: {known}")
        doc, call = self._entries[name]

        def entry(*arguments: object, **named: object) -> Answer:
            return call(*arguments, **named)

        entry.__name__ = name
        entry.__doc__ = doc
        return entry

    def __dir__(self) -> list[str]:
        return sorted(self._entries)

    def __repr__(self) -> str:
        lines = [f"  {name}: {doc.splitlines()[0]}" for name, (doc, _) in sorted(self._entries.items())]
        return "\n".join([f"{self._kind}s of this runbook:", *lines])
