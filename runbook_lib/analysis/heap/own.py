"""Which names are the service's own: what a runtime brings along is large in every heap, and says least."""

from __future__ import annotations

import re
from typing import Literal

from runbook_lib.analysis.heap.java_names import PRIMITIVES

__all__ = ["is_own"]

_JAVA = re.compile(r"(?:java|javax|jdk|sun|com\.sun|kotlin|scala|groovy)\.|\(|class 0x")
_PRIMITIVES = frozenset(PRIMITIVES.values())
_V8 = re.compile(r"\(|system / |native_bind|Detached |Node / ")
_JAVASCRIPT = re.compile(
    r"(?:Object|Array|Function|String|Number|Boolean|Symbol|BigInt|Date|RegExp|Error|Map|Set|Weak(?:Map|Set|Ref)|Promise|Proxy"
    r"|Module|(?:Shared)?ArrayBuffer|DataView|Buffer|FastBuffer|(?:Uint|Int|Float|BigInt|BigUint)\d+Array|process|global"
    r"|Generator|Iterator|Timeout)"
)
_PYTHON = re.compile(r"<|.*/(?:site-packages|dist-packages|lib/python\d[^/]*)/")


def is_own(name: str, counted: Literal["types", "classes", "allocation sites"]) -> bool:
    """Whether a type, class or line of code is of the service, or of a library beyond the runtime's."""
    if counted == "classes":
        return not _JAVA.match(name) and name.replace("[]", "") not in _PRIMITIVES
    if counted == "types":
        return not _V8.match(name) and not _JAVASCRIPT.fullmatch(name)
    return not _PYTHON.match(name)
