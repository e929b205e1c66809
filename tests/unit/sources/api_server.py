"""A Kubernetes API server of a few lines for the tests of its sources: answers by path, as one would record them."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from runbook_lib.service.models import KubernetesConnection

SHOP = "/api/v1/namespaces/shop"
APPS = "/apis/apps/v1/namespaces/shop"


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def status(code: int, message: str, reason: str = "", **details: Any) -> Answer:
    """A Status object, as every refusal of the API is one."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code}
    return Answer(code, {**body, "details": details})


def forbidden(resource: str, verb: str = "list", user: str = "system:serviceaccount:shop:reader") -> Answer:
    message = (
        f'{resource} is forbidden: User "{user}" cannot {verb} resource "{resource}" in API group "" in the namespace "shop"'
    )
    return status(403, message, "Forbidden", kind=resource)


def items(*objects: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "77", **metadata}, "items": list(objects)}


Respond = Callable[[Request], Answer]


@dataclass
class ApiServer:
    """`routes` maps a path to an object, an Answer, or a function of the Request. What has no route is a 404."""

    port: int
    routes: dict[str, Any] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        route = self.routes.get(request.path, status(404, "the server could not find the requested resource", "NotFound"))
        found = route(request) if callable(route) else route
        return found if isinstance(found, Answer) else Answer(body=found)

    def connection(self, tmp_path: Any, **settings: Any) -> KubernetesConnection:
        """A connection through a kubeconfig with the contexts `reader` and `operator`."""
        return KubernetesConnection(
            **{"kubeconfig": str(kubeconfig(tmp_path, self.port)), "namespace": "shop", "timeout_seconds": 5, **settings}
        )


def kubeconfig(folder: Any, port: int) -> Any:
    users = [{"name": name, "user": {"token": f"token-of-{name}"}} for name in ("reader", "operator")]
    contexts = [
        {"name": name, "context": {"cluster": "test", "user": name, "namespace": "shop"}} for name in ("reader", "operator")
    ]
    cluster = {"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    content = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": contexts, "users": users}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump({**content, "current-context": "reader"}))
    return path


@contextmanager
def serving() -> Iterator[ApiServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            request = Request(self.command, url.path, dict(parse_qsl(url.query)), dict(self.headers), body)
            answer = found.answer(request)
            content = answer.content()
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the name is the standard library's

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found = ApiServer(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield found
        server.shutdown()
        thread.join()
