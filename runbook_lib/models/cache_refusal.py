"""What a Redis says where it refuses to answer, and what a person does about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

__all__ = ["CacheRefusal", "by_hand", "refusal_in"]


@dataclass(frozen=True, slots=True)
class CacheRefusal:
    """One way to refuse. of_everybody: whoever asks is refused, not one user or password alone.

    pattern finds it in an error or a line of a log: some clients leave the server's first word out. said: what was found.
    """

    word: str
    mend: str
    pattern: re.Pattern[str]
    of_everybody: bool = True
    said: str = ""

    @property
    def text(self) -> str:
        """What was said, with its word in front where the client left that out."""
        return self.said if self.word in self.said else f"{self.word}: {self.said}" if self.said else self.word


def _spoken(*beginnings: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{'|'.join(beginnings)})[^.;\n]*")


# The words of Redis 6.2 to 8 and of Valkey, which puts its own name into them.
_REFUSALS = (
    CacheRefusal(
        "BUSY",
        "a script runs on and on; redis-cli script kill (function kill for a function) ends one that has written nothing, and "
        "redis-cli shutdown nosave is left for one that has",
        _spoken(r"\bBUSY \w+ is busy"),
    ),
    CacheRefusal(
        "MISCONF",
        "it cannot save, and so takes no writes; make room on the disk of its dir, or mend its rights, then redis-cli bgsave; "
        "config set stop-writes-on-bgsave-error no lets it write meanwhile, and risks what is not saved",
        _spoken(r"\bMISCONF\b"),
    ),
    CacheRefusal(
        "LOADING",
        "it reads its data from disk; wait (redis-cli info persistence: loading_eta_seconds), and see what restarted it",
        _spoken(r"\bLOADING \w+ is loading", r"\b\w+ is loading the dataset in memory"),
    ),
    CacheRefusal(
        "MASTERDOWN",
        "it is a replica that lost its primary; bring that back, or make this one the primary (redis-cli replicaof no one)",
        _spoken(r"\bMASTERDOWN\b", r"\bLink with (?:MASTER|PRIMARY) is down"),
    ),
    CacheRefusal(
        "max number of clients",
        "no connection is left, for redis-cli neither; from one that is open, client list shows who holds them: end those, or "
        "raise maxclients",
        _spoken(r"\bmax number of clients(?: \+ cluster connections)? reached"),
    ),
    CacheRefusal(
        "WRONGPASS",
        "the password that the service gives is not the user's; put back the one or give the service the other",
        _spoken(r"\bWRONGPASS\b", r"\bNOAUTH\b", r"\binvalid (?:username-)?password", r"\bAuthentication required"),
        of_everybody=False,
    ),
    CacheRefusal(
        "NOPERM",
        "the service's user may not do that; give it the permission that is named (redis-cli acl setuser)",
        _spoken(r"\bNOPERM\b", r"\bno permissions to (?:run|access)\b"),
        of_everybody=False,
    ),
)


def refusal_in(text: str) -> CacheRefusal | None:
    """How this error or log line of a client says that Redis refused; None where it says nothing of the kind."""
    for kind in _REFUSALS:
        if found := kind.pattern.search(text):
            return replace(kind, said=found[0].strip())
    return None


def by_hand() -> str:
    """What to do, by the word."""
    return "do what its word asks for. " + ". ".join(f"{kind.word}: {kind.mend}" for kind in _REFUSALS) + "."
