"""Which container of a pod a request means."""

from runbook_lab.cluster.errors import BadRequest
from runbook_lab.cluster.store import Object


def container_of(pod: Object, asked: str | None) -> str:
    """Give the name of the container that was asked for, or of the only one; BadRequest where that is none or not clear."""
    containers = [str(container["name"]) for container in pod["spec"].get("containers") or ()]
    inits = [str(container["name"]) for container in pod["spec"].get("initContainers") or ()]
    ephemeral = [str(container["name"]) for container in pod["spec"].get("ephemeralContainers") or ()]
    name = pod["metadata"]["name"]
    if asked:
        if asked not in containers + inits + ephemeral:
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    if len(containers) != 1:
        choice = f"choose one of: [{' '.join(containers)}]" + (
            f" or one of the init containers: [{' '.join(inits)}]" if inits else ""
        )
        raise BadRequest(f"a container name must be specified for pod {name}, {choice}")
    return containers[0]
