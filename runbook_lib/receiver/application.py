"""The web application: `POST /alerts` as Alertmanager posts, `GET /healthz`. Every answer says what was done, or why not."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Path

from runbook_lib.receiver.alerts import Alert, Webhook
from runbook_lib.receiver.job import Job
from runbook_lib.receiver.queue import MOST_ALERTS, Accepted, JobQueue
from runbook_lib.receiver.routes import Route, Routes
from runbook_lib.receiver.telling import in_lines
from runbook_lib.receiver.workers import Workers

__all__ = ["MAXIMUM_BODY_BYTES", "Receiver"]

MAXIMUM_BODY_BYTES = 1024 * 1024
"""A notification of a thousand alerts is about half of this."""

_RETRY_SECONDS = "30"


class Receiver:
    """Takes alerts into the queue. `told` is given one line of text for each thing that happens.

    resolved: called with the job of a resolved alert whose run has ended.
    """

    def __init__(
        self,
        *,
        routes: Routes,
        queue: JobQueue,
        workers: Workers,
        token: str,
        told: Callable[[str], None],
        resolved: Callable[[Job], None],
    ) -> None:
        self._routes = routes
        self._queue = queue
        self._workers = workers
        self._token = token.encode()
        self._told = in_lines(told)
        self._resolved = resolved

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(routes=[Path("/alerts", self.alerts, methods=["POST"]), Path("/healthz", self.health, methods=["GET"])])

    async def health(self, _: Request) -> Response:
        """200 while alerts are taken and worked off, 503 when a worker has died; both with what waits and runs."""
        alive = self._workers.alive
        counts = await run_in_threadpool(self._queue.counts)
        return JSONResponse(
            {"status": "ok" if alive else "a worker has died; restart the receiver", **counts}, 200 if alive else 503
        )

    async def alerts(self, request: Request) -> Response:
        """202 once every alert is on disk; 401, 413, 400, 422 for what cannot be taken; 503 for what should be sent again.

        Of a notification that does not fit as a whole, what fits is kept.
        """
        if not self._authorised(request):
            return _refusal(401, "a bearer token is needed, and it must be the receiver's", {"WWW-Authenticate": "Bearer"})
        if not self._workers.any_alive:
            self._told("alerts are refused: no worker lives; restart the receiver")
            return _come_again("no worker lives; the receiver has to be restarted")
        try:
            body = await _bounded_body(request)
        except ClientDisconnect:
            return _refusal(400, "the request ended before its body did")
        if body is None:
            return _refusal(413, f"at most {MAXIMUM_BODY_BYTES} bytes are taken; lower max_alerts of the webhook")
        try:
            webhook = Webhook.model_validate(json.loads(body))
        except (ValueError, RecursionError) as error:
            return _not_understood(error)
        return await run_in_threadpool(self._take, webhook)

    def _authorised(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        # In constant time, so that the time of a refusal does not tell how much of a guess was right.
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token)

    def _take(self, webhook: Webhook) -> Response:
        firing = [alert for alert in webhook.alerts if alert.status == "firing"]
        routed = [(alert, self._routes.route_for(alert.labels)) for alert in firing]
        unrouted = sorted({alert.name for alert, route in routed if route is None})
        jobs = [_job(alert, route) for alert, route in routed if route is not None]
        try:
            accepted = self._queue.accept(jobs)
            resolved = [alert for alert in webhook.alerts if alert.status == "resolved" and self._note_resolved(alert)]
        except OSError as error:
            self._told(f"the queue cannot be written: {error}")
            return _come_again(f"the queue cannot be written: {error.strerror}")
        self._tell(accepted)
        for name in unrouted:
            self._told(f"no route takes {name}; add one to alert_routes.yaml if it has a runbook")
        duplicates = len(jobs) - accepted.alerts - accepted.refused
        counts = {"accepted": accepted.alerts, "duplicates": duplicates, "resolved": len(resolved)}
        ids = [job.id for job, _ in accepted.jobs]
        if accepted.refused:
            reason = (
                f"{accepted.refused} of {len(jobs)} alerts do not fit: {self._queue.capacity} runs may wait, "
                f"each with {MOST_ALERTS} alerts"
            )
            self._told(f"{reason}; they are to be sent again")
            return _come_again(reason, {**counts, "refused": accepted.refused, "unrouted": unrouted, "ids": ids})
        return JSONResponse({**counts, "unrouted": unrouted, "ids": ids}, 202)

    def _tell(self, accepted: Accepted) -> None:
        for job, count in accepted.jobs:
            name = job.alerts[-count].get("labels", {}).get("alertname", "an alert")
            more = f" and {count - 1} more" if count > 1 else ""
            begun = count == len(job.alerts)
            self._told(f"{job.id}: accepted {name}{more}{'' if begun else ', for the run that waits already'}")

    def _note_resolved(self, alert: Alert) -> bool:
        job = self._queue.resolve(alert.key, alert.ends_at or datetime.now(UTC))
        if job is not None and job.finished_at:
            self._resolved(job)
        return job is not None


def _job(alert: Alert, route: Route) -> Job:
    now = datetime.now(UTC)
    return Job(
        id=f"{now:%Y%m%dT%H%M%S%f}-{alert.key}",
        key=alert.key,
        notebook=route.notebook,
        service=route.service,
        alert=alert.as_sent(),
        accepted_at=now.isoformat(),
    )


async def _bounded_body(request: Request) -> bytes | None:
    """The body, None when it is longer than it may be; never holds more than that in memory."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAXIMUM_BODY_BYTES:
            return None
    return bytes(body)


def _refusal(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": reason}, status, headers)


def _come_again(reason: str, more: dict[str, object] | None = None) -> Response:
    return JSONResponse({"error": reason, **(more or {})}, 503, {"Retry-After": _RETRY_SECONDS})


def _not_understood(error: ValueError | RecursionError) -> Response:
    if not isinstance(error, ValidationError):
        return _refusal(400, f"the body is not JSON: {error}")
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "the body"
    return _refusal(422, f"not Alertmanager's webhook, version 4: {where}: {first['msg']}")
