"""Log lines grouped into patterns, with counts and first and last seen, and each pattern's kind of error.

Patterns are mined by Drain (He et al., 2017, ICWS) as drain3 implements it: numbers, ids and addresses become wildcards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import pandas as pd

from runbook_lib.importing import importing
from runbook_lib.models.frame import Frame, frame

PATTERN_COLUMNS = ["kind", "pattern", "count", "first_seen", "last_seen", "pods", "example"]
# Of a line that is mined: cut by words, since an id of one digit more must not make another pattern of it.
_MOST_WORDS, _MOST_LETTERS = 80, 120

# What an error line speaks of, by the words that drivers and frameworks write. The first kind that matches counts: the specific
# before the general. The words come from psycopg_pool, SQLAlchemy, HikariCP, node-postgres, pgx, PostgreSQL, httpx, requests,
# OkHttp, Spring, Node, Go net/http, gRPC, resilience4j, redis clients, the JVM, CPython and the kernel.
ERROR_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "database_pool",
        (
            r"PoolTimeout|PoolExhausted|couldn't get a connection|QueuePool limit|pool exhausted|ResourceRequest timed out",
            r"connection pool (?:is )?(?:exhausted|full|timed out)|Timeout acquiring a connection|TimeoutError: Knex",
            r"Connection is not available, request timed out|timeout exceeded when trying to connect|no more connections allowed",
            r"too many clients already|remaining connection slots|too many connections for|query_wait_timeout",
        ),
    ),
    (
        "memory",
        (
            r"\bMemoryError\b|OutOfMemory|out of memory|heap limit|Cannot allocate memory|bad_alloc|\bOOM\b(?! command)",
            r"GC overhead limit|ENOMEM",
        ),
    ),
    (
        "database_schema",  # code and schema do not fit: a release went ahead of its migration, or somebody altered a table
        (
            r"Undefined(?:Column|Table|Function|Object)|\b(?:column|relation|table|function|schema) [^\n]{1,200}? does not exist",
            r"\bno such (?:column|table)\b|Unknown (?:column|table)\b|Table '\S+' doesn't exist|Invalid (?:column|object) name",
            r"SchemaManagementException|Schema-validation: ",
        ),
    ),
    ("application", (r"syntax error at or near",)),  # the code's error, not the database's
    (
        "database_constraint",  # what is written is not allowed: the code is wrong, or a constraint is new
        (
            r"(?:NotNull|ForeignKey|Unique|Check|Exclusion)Violation|StringDataRightTruncation|NumericValueOutOfRange",
            r"violates (?:not-null|foreign key|unique|check|exclusion) constraint|ConstraintViolationException",
            r"value too long for type|invalid input value for enum|numeric field overflow|cannot insert into column",
            r"Duplicate entry '|Data too long for column|a foreign key constraint fails|UNIQUE constraint failed",
        ),
    ),
    (
        "database_statement",  # the database answers, and turns down what was asked of it
        (
            r"InsufficientPrivilege|permission denied for (?:table|relation|schema|sequence|function|database)|must be owner of",
            r"canceling statement due to|(?:lock|statement) timeout|LockNotAvailable|QueryCanceled|deadlock detected",
            r"could not serialize access|read-only transaction|could not extend file|disk full|No space left on device",
            r"password authentication failed|not permitted to log in|no pg_hba\.conf entry|(?:role|database) \S+ does not exist",
        ),
    ),
    (
        "database",
        (
            r"psycopg|\bpq: |SQLSTATE|JDBC(?:Connection)?Exception|PSQLException|SQLTransient\w+|OperationalError|InterfaceError",
            r"server closed the connection unexpectedly|terminating connection",
            r"the database system is (?:shutting down|starting up|in recovery)|connection to server at .* failed|:5432\b",
            r"SequelizeConnection\w+",
        ),
    ),
    (
        "cache",
        (
            r"\bredis\b|\bRedis\w*(?:Error|Exception)|memcache|Jedis\w*Exception|Lettuce|:6379\b|MISCONF|OOM command not allowed",
            r"\bNOAUTH\b|\bWRONGPASS\b|\bNOPERM\b|\bMASTERDOWN\b|\bBUSY \w+ is busy|\bLOADING \w+ is loading",
            r"\bmax number of clients reached|\bREADONLY You can't write against",
        ),
    ),
    (
        "downstream",
        (
            r"(?:Read|Connect)Timeout|TimeoutException|SocketTimeout|timed out|deadline exceeded",
            r"\b(?:ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)\b|Connection refused|Connection reset",
            r"Connect(?:ion)?Error|RemoteDisconnected|socket hang up|URLError",
            r"CircuitBreaker\w*|circuit breaker|CallNotPermitted|upstream (?:connect|request)|Bad Gateway|Service Unavailable",
            r"\b50[234] (?:from|for)\b|\bUNAVAILABLE\b|no such host|Name or service not known|name resolution|getaddrinfo",
            r"UnknownHost|No route to host|Network is unreachable|(?:Max)?RetryError",
        ),
    ),
)
_KINDS = tuple((kind, re.compile("|".join(words), re.IGNORECASE)) for kind, words in ERROR_KINDS)
_HEAD, _TAIL = 500, 700  # characters of a traceback
_CAUSED_BY = re.compile(r"^Caused by: .{0,200}", re.MULTILINE)
_COUNTED = re.compile(
    r"(?<![:\w])(?!50[234]\b)\d+"
)  # ids and durations, but no ports and statuses: lines that differ in them are alike
_EXCEPTION = re.compile(
    r"\bTraceback\b|\b\w+(?:Error|Exception|Panic)\b|\bpanic:|\bunhandled\b|\bis not defined\b|Cannot read propert", re.IGNORECASE
)


def error_kind(message: str) -> str:
    """What an error line speaks of: a kind of ERROR_KINDS, else `application` (an exception of the code), else `other`.

    Of a long traceback only what names the error is read: its head, its end, and what Java says in between of causes.
    """
    text = message
    if len(message) > _HEAD + _TAIL:
        text = "\n".join([message[:_HEAD], *_CAUSED_BY.findall(message, _HEAD), message[-_TAIL:]])
    return _kind(_COUNTED.sub("0", text))


@lru_cache(maxsize=4096)
def _kind(message: str) -> str:
    for kind, words in _KINDS:
        if words.search(message):
            return kind
    return "application" if _EXCEPTION.search(message) else "other"


@dataclass(slots=True)
class _Cluster:
    kind: str
    example: str
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None
    pods: set[str] = field(default_factory=set)


def error_text(message: str, fields: Mapping[str, Any] | None) -> str:
    """A record's message with the exception that its JSON fields carry, since that names the cause."""
    if not isinstance(fields, Mapping):
        return message
    named = [
        str(fields[key])
        for key in ("exception", "exc_info", "error", "err", "error.message", "stack", "stack_trace", "error.stack_trace")
        if fields.get(key)
    ]
    return " ".join([message, *named]) if named else message


def error_patterns(errors: pd.DataFrame) -> Frame:
    """Group error records into patterns, most frequent first.

    `errors` has the columns of `Logs.read`. The answer has the columns kind, pattern, count, first_seen, last_seen (UTC), pods
    (how many), example.
    """
    if errors.empty:
        return frame([], columns=PATTERN_COLUMNS)
    miner = _miner()
    clusters: dict[int, _Cluster] = {}
    texts = error_texts(errors)
    for at, pod, text in zip(errors["time"], errors["pod"], texts, strict=True):
        result = miner.add_log_message(" ".join(word[:_MOST_LETTERS] for word in text.split()[:_MOST_WORDS]))
        cluster = clusters.get(result["cluster_id"])
        if cluster is None:
            cluster = clusters[result["cluster_id"]] = _Cluster(kind=error_kind(text), example=text)
        moment = pd.Timestamp(at).to_pydatetime()
        cluster.count += 1
        cluster.first = moment if cluster.first is None else min(cluster.first, moment)
        cluster.last = moment if cluster.last is None else max(cluster.last, moment)
        cluster.pods.add(str(pod))
    templates = {mined.cluster_id: mined.get_template() for mined in miner.drain.clusters}
    rows = [
        (found.kind, templates.get(key, found.example), found.count, found.first, found.last, len(found.pods), found.example)
        for key, found in clusters.items()
    ]
    rows.sort(key=lambda row: -row[2])
    return frame(rows, columns=PATTERN_COLUMNS)


def error_kinds(errors: pd.DataFrame) -> pd.Series:
    """The kind of each error record, on the frame's own index."""
    return pd.Series([error_kind(text) for text in error_texts(errors)], index=errors.index, dtype="object")


def error_texts(errors: pd.DataFrame) -> list[str]:
    """What each error record says, its exception included, in the frame's order."""
    fields = errors["fields"] if "fields" in errors.columns else [None] * len(errors)
    return [error_text(str(message), known) for message, known in zip(errors["message"], fields, strict=True)]


def _miner() -> Any:
    """A Drain miner in memory, with masks for what varies in every line (ids, addresses, numbers)."""
    with importing("drain3"):
        from drain3 import TemplateMiner
        from drain3.masking import MaskingInstruction
        from drain3.template_miner_config import TemplateMinerConfig

    config = TemplateMinerConfig()
    config.drain_max_clusters = 500
    config.profiling_enabled = False
    config.masking_instructions = [
        MaskingInstruction(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "id"),
        MaskingInstruction(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "address"),
        MaskingInstruction(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-f]{12,}\b", "hex"),
        MaskingInstruction(r"(?<![A-Za-z])[-+]?\d+(?:\.\d+)?", "number"),
    ]
    return TemplateMiner(config=config)
