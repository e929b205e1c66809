"""The cluster's own metrics, under the names that cAdvisor and kube-state-metrics give them."""
