"""The small programs of the lab's containers that look names up: a pod has no resolver of its own, only a hosts file.

`wget`, `nc`, `nslookup`, `getent` and `curl` stand first on the PATH of every container. They do what one does with them in an
incident, in the words of busybox, and refuse the rest. Any other program is the machine's own, and knows no name of the cluster.
"""

from runbook_lab.toolbox.install import install

__all__ = ["install"]
