"""What people see of the models: cards, tables, figures, and the buttons of an action."""

from runbook_lib.display.register import register

__all__ = ["register"]
