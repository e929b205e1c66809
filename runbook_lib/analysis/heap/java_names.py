"""How the JVM writes class names, and how people do."""

from __future__ import annotations

__all__ = ["PRIMITIVES", "readable"]

PRIMITIVES = {
    "Z": "boolean", "C": "char", "F": "float", "D": "double", "B": "byte", "S": "short", "I": "int", "J": "long",
}  # fmt: skip


def readable(name: str) -> str:
    """`[Ljava/lang/String;` is `java.lang.String[]`, `[[I` is `int[][]`."""
    plain = name.replace("/", ".")
    element = plain.lstrip("[")
    depth = len(plain) - len(element)
    if not depth:
        return plain
    element = element[1:-1] if element.startswith("L") and element.endswith(";") else PRIMITIVES.get(element, element)
    return element + "[]" * depth
