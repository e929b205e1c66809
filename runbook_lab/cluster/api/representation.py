"""Which form of an answer a client asks for: JSON, a Table, or only the metadata. Protobuf is read but not written."""

from dataclasses import dataclass

from runbook_lab.cluster.errors import NotAcceptable

_JSON_TYPES = ("application/json", "application/*", "*/*")


@dataclass(frozen=True)
class Representation:
    """One form of an answer: `kind` is what `as=` names (`Table`, ...; empty: the object itself), `version` what `v=` names."""

    kind: str = ""
    version: str = "v1"


def parse_accept(header: str | None, *, known: tuple[str, ...]) -> Representation:
    """Choose the first form in an Accept header that is served; `known` are the `as=` kinds that are. NotAcceptable for none."""
    for entry in (header or "*/*").split(","):
        media_type, *parameters = [part.strip() for part in entry.split(";")]
        options = dict(parameter.partition("=")[::2] for parameter in parameters)
        if media_type in _JSON_TYPES and (options.get("as", "") in ("", *known)):
            return Representation(options.get("as", ""), options.get("v", "v1"))
    raise NotAcceptable("only the following media types are accepted: application/json")
