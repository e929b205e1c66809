"""Alerts in: Alertmanager's webhook, a queue on disk, and bounded workers that run the notebook of each alert."""
