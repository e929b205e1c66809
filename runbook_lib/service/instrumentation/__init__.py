"""How a service's own metrics are found and asked for, whatever its instrumentation calls them."""

from runbook_lib.service.instrumentation.catalogue import Catalogue
from runbook_lib.service.instrumentation.measures import MEASURES, Measure
from runbook_lib.service.instrumentation.presets import PRESETS
from runbook_lib.service.instrumentation.promql import Matchers
from runbook_lib.service.instrumentation.resolving import Expression, Expressions, resolve

__all__ = ["MEASURES", "PRESETS", "Catalogue", "Expression", "Expressions", "Matchers", "Measure", "resolve"]
