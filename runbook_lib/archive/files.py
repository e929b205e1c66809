"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from runbook_lib.errors import ArchiveError

__all__ = ["make_directory", "write_file"]


def write_file(path: Path, content: str | bytes) -> None:
    """Put `content` in the place of what was at `path`: a reader, or a crash, finds the old file or the new one.

    Raises ArchiveError when the disk or the permissions do not let it.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as error:
        raise ArchiveError(
            f"{path} cannot be written: {error.strerror or error}; free the disk or mend the permissions"
        ) from error


def make_directory(path: Path, *, new: bool = False) -> None:
    """Make a folder and those above it. `new`: raises FileExistsError when it is there already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        path.mkdir(exist_ok=not new, mode=0o750)
    except FileExistsError:
        raise
    except OSError as error:
        raise ArchiveError(f"the folder {path} cannot be made: {error.strerror or error}; mend the permissions") from error


def _sync(directory: Path) -> None:
    """A rename is on the disk when its folder is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
