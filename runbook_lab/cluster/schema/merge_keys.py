"""Which lists a strategic merge patch merges, and by which key of their members (`""`: plain values, merged as a set).

From the `patchMergeKey` tags of the Kubernetes API types. A list that is not named here is replaced as a whole.
"""

MERGE_KEYS: dict[tuple[str, str], str] = {
    ("Container", "env"): "name",
    ("Container", "ports"): "containerPort",
    ("Container", "volumeDevices"): "devicePath",
    ("Container", "volumeMounts"): "mountPath",
    ("DeploymentStatus", "conditions"): "type",
    ("NodeSpec", "podCIDRs"): "",
    ("NodeStatus", "addresses"): "type",
    ("NodeStatus", "conditions"): "type",
    ("ObjectMeta", "finalizers"): "",
    ("ObjectMeta", "ownerReferences"): "uid",
    ("PodDisruptionBudgetStatus", "conditions"): "type",
    ("PodSpec", "containers"): "name",
    ("PodSpec", "ephemeralContainers"): "name",
    ("PodSpec", "hostAliases"): "ip",
    ("PodSpec", "imagePullSecrets"): "name",
    ("PodSpec", "initContainers"): "name",
    ("PodSpec", "resourceClaims"): "name",
    ("PodSpec", "schedulingGates"): "name",
    ("PodSpec", "topologySpreadConstraints"): "topologyKey",
    ("PodSpec", "volumes"): "name",
    ("PodStatus", "conditions"): "type",
    ("PodStatus", "hostIPs"): "ip",
    ("PodStatus", "podIPs"): "ip",
    ("ReplicaSetStatus", "conditions"): "type",
    ("ServiceAccount", "imagePullSecrets"): "name",
    ("ServiceAccount", "secrets"): "name",
    ("ServiceSpec", "ports"): "port",
    ("StatefulSetStatus", "conditions"): "type",
}
