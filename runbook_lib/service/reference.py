"""Values that stand elsewhere: `env:NAME` and `file:PATH`, so that no secret lives in a service file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from runbook_lib.errors import ConfigurationError
from runbook_lib.service.secrets import holds_secret

__all__ = ["PathReference", "Reference", "SecretReference", "expand"]

_EXPANSION = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A reference names one value. A file larger than this is something else, and would only end up in an error or a header.
_MAXIMUM_BYTES = 64 * 1024


def expand(text: str) -> str:
    """Expand `${NAME}`, `${NAME:-default}` and a leading `~` in a path.

    As in a shell, the default also stands in for a variable that is set to nothing. Raises ConfigurationError for a variable
    that is not set and has no default: a path with a hole in it would name some other file.
    """

    def value_of(match: re.Match[str]) -> str:
        value = os.environ.get(match["name"]) or match["default"]
        if value is None:
            raise ConfigurationError(
                f"{text} needs the environment variable {match['name']}, which is not set; "
                f"set it, or write ${{{match['name']}:-default}}"
            )
        return value

    return os.path.expanduser(_EXPANSION.sub(value_of, text))  # noqa: PTH111 - a Path would swallow a trailing slash


class Reference:
    """A value of a service file that may stand elsewhere; `resolve()` fetches it when it is needed, and not before.

    `env:NAME` is an environment variable. `file:PATH` is a file's text without the space around it; PATH may use `${NAME}`,
    `${NAME:-default}` and `~`, and is relative to the service file. `env:PAYMENTS_URL + /health` appends a path to the value.
    Anything else is the value itself, which is refused when it holds a secret. Its text and repr are those of the
    reference, never the value fetched through it.
    """

    __slots__ = ("base", "text")
    literal_allowed: ClassVar[bool] = True

    def __init__(self, text: str, *, base: Path | None = None) -> None:
        self.text = text
        self.base = base

    @property
    def is_literal(self) -> bool:
        """The value stands in the service file itself."""
        return not self.text.startswith(("env:", "file:"))

    def resolve(self) -> str:
        """Fetch the value. Raises ConfigurationError when the variable or the file is missing, empty or unreadable."""
        if self.is_literal:
            return self.text
        kind, rest, appended = self._parts()
        value = self._variable(rest) if kind == "env" else self._content(self._path(rest))
        return value.rstrip("/") + appended if appended else value

    def _parts(self) -> tuple[str, str, str]:
        """Part `file:PATH + /health` into `file`, PATH and `/health`."""
        reference, _, appended = self.text.partition(" + ")
        kind, _, rest = reference.partition(":")
        return kind, rest.strip(), appended.strip()

    def _variable(self, name: str) -> str:
        value = os.environ.get(name, "").strip()
        if not value:
            raise ConfigurationError(
                f"{self.text} needs the environment variable {name}, which is not set; export it and try again"
            )
        return value

    def _path(self, text: str) -> Path:
        path = Path(expand(text))
        return path if path.is_absolute() else (self.base or Path.cwd()) / path

    def _content(self, path: Path) -> str:
        try:
            with path.open(encoding="utf-8") as file:
                value = file.read(_MAXIMUM_BYTES + 1).strip()
        except FileNotFoundError:
            raise ConfigurationError(f"{self.text} names {path}, which does not exist; create it with the value in it") from None
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigurationError(f"{self.text} names {path}, which cannot be read: {reason}") from error
        if not value:
            raise ConfigurationError(f"{self.text} names {path}, which is empty; write the value into it")
        if len(value) > _MAXIMUM_BYTES:
            raise ConfigurationError(
                f"{self.text} names {path}, which is larger than {_MAXIMUM_BYTES} bytes; is it the right file?"
            )
        return value

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reference):
            return NotImplemented
        return self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @classmethod
    def _validated(cls, value: Any, info: ValidationInfo) -> Reference:
        if isinstance(value, cls):
            return value
        if isinstance(value, Reference):
            value = value.text
        if not isinstance(value, str):
            # The value is not shown: a number where a password is expected is a password.
            raise PydanticCustomError(
                "reference_type", "must be text such as env:NAME or file:PATH; found {found}", {"found": type(value).__name__}
            )
        reference = cls(value.strip(), base=(info.context or {}).get("base"))
        reference._check()
        return reference

    def _check(self) -> None:
        kind, rest, _ = self._parts()
        if kind == "env" and not _NAME.fullmatch(rest):
            # Not shown either: `env:hunter2!` is a password in the wrong place.
            raise PydanticCustomError(
                "reference_name", "names no environment variable: env:NAME takes letters, digits and _ only"
            )
        if kind == "file" and not rest:
            raise PydanticCustomError("reference_path", "names no file: write file:PATH")
        if not self.is_literal:
            return
        if not self.text:
            raise PydanticCustomError("reference_empty", "is empty: write a value, env:NAME or file:PATH, or leave the field out")
        secret = holds_secret(self.text)
        if secret or not self.literal_allowed:
            raise PydanticCustomError(
                "literal_secret", "must be a reference such as env:NAME; found {found}", {"found": secret or "a literal value"}
            )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic models take it as a field, and write it back as the text of the reference."""
        return core_schema.with_info_plain_validator_function(
            cls._validated, serialization=core_schema.to_string_ser_schema(when_used="always")
        )


class SecretReference(Reference):
    """A password or token: only ever `env:NAME` or `file:PATH`, since any literal would be the secret itself."""

    __slots__ = ()
    literal_allowed: ClassVar[bool] = False


class PathReference(Reference):
    """A path: `file:PATH` and a bare path give the path itself (expanded, absolute), `env:NAME` the path in that variable."""

    __slots__ = ()

    def resolve(self) -> str:
        """Give the path as text. Whether the file exists is for its reader to say."""
        kind, _, rest = self.text.partition(":")
        if kind == "env":
            return self._variable(rest)
        return str(self._path(rest if kind == "file" else self.text))
