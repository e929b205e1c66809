"""The hooks of a container's lifecycle: what is done right after its start, and before it is asked to stop."""

from __future__ import annotations

import asyncio

import aiohttp

from runbook_lab.cluster.metadata import Object
from runbook_lab.cluster.node.instance import Instance
from runbook_lab.cluster.node.probes import Probe

_NO_LIMIT = 24 * 3600.0


async def run_hook(hook: Object, *, instance: Instance, pod: Object, ip: str, client: aiohttp.ClientSession) -> str | None:
    """Do what a `postStart` or `preStop` asks for (exec, httpGet or sleep); give the words of its failure, or None."""
    if "sleep" in hook:
        await asyncio.sleep(hook["sleep"]["seconds"])
        return None
    # A hook has no timeout of its own: the pod's grace period is what limits it.
    action = Probe({**hook, "timeoutSeconds": _NO_LIMIT}, pod=pod, ip=ip, client=client, execute=instance.run)
    verdict = await action.once()
    return None if verdict.healthy else verdict.output
