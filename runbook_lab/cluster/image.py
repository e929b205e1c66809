"""What a container image is in the lab: a command on this machine."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Image:
    """What a pod's `image: name` stands for.

    `command` is the entry point, `arguments` what comes after it by default: a manifest's `command` replaces both, its `args` the
    arguments. `env` stands below the manifest's own variables. `workdir` is where processes start (default: the pod's own
    directory). `tools_path` are directories put in front of PATH for the container and for what is executed in it, e.g. those
    with `psql` or `redis-cli`. `stop_signal` asks the process to end, as an image's STOPSIGNAL does (PostgreSQL's has SIGINT, its
    fast shutdown).
    """

    command: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: Path | None = None
    tools_path: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM


def familiar_name(name: str) -> str:
    """Give the shortest name of an image: `docker.io/library/busybox:latest` is `busybox`."""
    for prefix in ("docker.io/library/", "docker.io/"):
        name = name.removeprefix(prefix)
    return name.removesuffix(":latest")
