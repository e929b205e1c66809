"""The columns that `kubectl get` shows, made by the server as in Kubernetes (`meta.k8s.io` Tables)."""
