"""What a column of a Table is, and the words that many columns share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Object = dict[str, Any]
NONE = "<none>"


@dataclass(frozen=True)
class Column:
    """One column: its header, how its cell is made from an object and the present time, and whether only `-o wide` shows it."""

    name: str
    cell: Callable[[Object, datetime], Any]
    type: str = "string"
    wide: bool = False
    format: str = ""

    def definition(self) -> Object:
        """Give the column's definition on the wire."""
        return {"name": self.name, "type": self.type, "format": self.format, "description": "", "priority": int(self.wide)}


def name(obj: Object, _: datetime) -> str:
    """Give the object's name."""
    return str(obj["metadata"]["name"])


NAME = Column("Name", name, format="name")


def labels_text(labels: Mapping[str, str] | None) -> str:
    """Write labels as `a=1,b=2`."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def selector_text(selector: Mapping[str, Any] | None) -> str:
    """Write a LabelSelector as `a=1,tier in (x,y)`."""
    parts = [f"{key}={value}" for key, value in sorted(((selector or {}).get("matchLabels") or {}).items())]
    for entry in (selector or {}).get("matchExpressions") or ():
        key, operator, values = entry["key"], entry["operator"], ",".join(entry.get("values") or ())
        parts.append({"Exists": key, "DoesNotExist": f"!{key}"}.get(operator, f"{key} {operator.lower()} ({values})"))
    return ",".join(parts) or NONE


def first(values: Iterable[str], limit: int = 3) -> str:
    """Write the first few values, and how many more there are."""
    listed = list(values)
    more = f" + {len(listed) - limit} more..." if len(listed) > limit else ""
    return (",".join(listed[:limit]) + more) or NONE
