"""The real servers of the lab: PostgreSQL and Redis, in pods; Prometheus and Alertmanager, beside the cluster."""
