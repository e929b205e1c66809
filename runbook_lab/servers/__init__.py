"""The real servers of the lab: PostgreSQL and Redis, which run in pods, Prometheus and Alertmanager, which run beside the cluster."""
