"""The process that a lab is: the cluster within it, and Prometheus and Alertmanager beside it. All of it ends with it.

`runbook lab up` starts it in the background: `python -m runbook_lab.supervisor HOME SEED`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import secrets
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from runbook_lab import toolbox
from runbook_lab.cluster import Cluster
from runbook_lab.cluster.node import instance, processes
from runbook_lab.home import Home
from runbook_lab.images import images
from runbook_lab.objects import NAMESPACE, objects_of
from runbook_lab.servers import postgres, programs, prometheus
from runbook_lab.servers.discovery import Targets
from runbook_lab.servers.rules import lab_rules

_log = logging.getLogger("lab")

_READY_SECONDS = 60.0
_LOOK_SECONDS = 0.2
_END_SECONDS = 5.0
# Ties a server to this process: the kernel ends it when this one dies, however it dies.
_LAUNCHER = str(Path(instance.__file__).with_name("launch.py"))


class Lab:
    """One lab, from its start to its end."""

    def __init__(self, home: Home, *, seed: int) -> None:
        self._home = home
        self._seed = seed
        self._ports = {name: _free_port() for name in ("prometheus", "alertmanager", "receiver")}
        self._servers: dict[str, asyncio.subprocess.Process] = {}
        self._following: asyncio.Task[None] | None = None
        self._cluster = Cluster(
            home.path, images(home.socket_directory(), toolbox.install(home.path / "tools")), namespace=NAMESPACE, seed=seed
        )
        self._tell("starting", "the cluster")

    async def run(self, end: asyncio.Event) -> None:
        """Start everything, and go on until the end; whatever happens, nothing is left running."""
        try:
            await self._start()
            await end.wait()
            self._tell("ending", "asked to")
        finally:
            await self._stop()

    async def _start(self) -> None:
        began = time.monotonic()
        finding = [asyncio.to_thread(programs.find, one, told=_log.info) for one in (programs.PROMETHEUS, programs.ALERTMANAGER)]
        found = asyncio.gather(*finding)
        try:
            await self._cluster.start()
            self._write_secrets()
            await self._cluster.apply(objects_of(self._home, seed=self._seed))
            self._tell("starting", "Prometheus and Alertmanager")
            prometheus_program, alertmanager_program = await found
        finally:
            found.cancel()
        await self._start_alertmanager(alertmanager_program)
        await self._start_prometheus(prometheus_program)
        self._tell("starting", "the shop")
        await self._cluster.wait_until_ready(seconds=_READY_SECONDS)
        self._write_addresses()
        self._tell("starting", "the first metrics")
        await self._first_metrics()
        self._tell("ready", f"everything answers, after {time.monotonic() - began:.1f} s")

    async def _stop(self) -> None:
        if self._following:
            self._following.cancel()
        for process in self._servers.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        await self._cluster.stop()
        for process in self._servers.values():
            try:
                await asyncio.wait_for(process.wait(), _END_SECONDS)
            except TimeoutError:
                process.kill()

    # --- what the lab is made of

    def _write_secrets(self) -> None:
        for name in ("postgres.password", "orders.password", "admin.token", "receiver.token"):
            self._home.write(name, secrets.token_urlsafe(24))

    def _write_addresses(self) -> None:
        for name in ("orders", "payments", "inventory"):
            self._home.write(f"{name}.url", "http://{}:{}".format(*self._cluster.service_address(name)))
        self._home.write("redis.url", "redis://{}:{}/0".format(*self._cluster.service_address("redis")))
        host, port = self._cluster.service_address("postgres")
        for name, role in (("postgres.dsn", postgres.MONITOR), ("postgres-operator.dsn", postgres.OPERATOR)):
            self._home.write(name, f"postgresql://{role}@{host}:{port}/{postgres.DATABASE}")
        for name in ("prometheus", "alertmanager"):
            self._home.write(f"{name}.url", self._url(name))

    async def _start_alertmanager(self, program: Path) -> None:
        directory = self._home.path / "alertmanager"
        configuration = prometheus.alertmanager_configuration(
            receiver_url=f"{self._url('receiver')}/alerts", token=self._home.path / "receiver.token"
        )
        await self._start_server(
            "alertmanager",
            program,
            f"--config.file={prometheus.write(directory / 'alertmanager.yml', configuration)}",
            f"--storage.path={directory / 'data'}",
            f"--web.listen-address={_address(self._url('alertmanager'))}",
            "--cluster.listen-address=",  # alone: no gossip with others
            "--log.level=warn",
        )

    async def _start_prometheus(self, program: Path) -> None:
        directory = self._home.path / "prometheus"
        targets = Targets(self._cluster.store, directory / "pods.json")
        self._following = asyncio.create_task(targets.run())
        addresses = prometheus.Addresses(
            pods=directory / "pods.json",
            cadvisor=_address(self._cluster.cadvisor_url),
            state_metrics=_address(self._cluster.state_metrics_url),
            alertmanager=_address(self._url("alertmanager")),
        )
        rules = prometheus.write(directory / "rules.yml", lab_rules())
        configuration = prometheus.prometheus_configuration(addresses, rules=rules)
        await self._start_server(
            "prometheus",
            program,
            f"--config.file={prometheus.write(directory / 'prometheus.yml', configuration)}",
            f"--storage.tsdb.path={directory / 'data'}",
            "--storage.tsdb.retention.time=1d",
            f"--web.listen-address={_address(self._url('prometheus'))}",
            "--log.level=warn",
        )

    async def _start_server(self, name: str, program: Path, *arguments: str) -> None:
        """Start a server that dies with this process."""
        command = (sys.executable, "-I", "-S", _LAUNCHER, str(os.getpid()), str(program), *arguments)
        with (self._home.logs / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=programs.start_directory(program),
                start_new_session=True,
            )
        self._servers[name] = process

    # --- whether it is there

    async def _first_metrics(self) -> None:
        """Wait until Prometheus has measured the error ratio of orders, from all of its pods, and Alertmanager answers."""
        query = 'sum(rate(http_requests_total{service="orders"}[20s])) and on() (sum(up{service="orders"}) == 3)'
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session, asyncio.timeout(_READY_SECONDS):
            while not (await self._answers(session) and await self._has(session, query)):
                self._check_servers()
                await asyncio.sleep(_LOOK_SECONDS)

    async def _answers(self, session: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(f"{self._url('alertmanager')}/-/ready") as response:
                return response.status == 200
        return False

    async def _has(self, session: aiohttp.ClientSession, query: str) -> bool:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(f"{self._url('prometheus')}/api/v1/query", params={"query": query}) as response:
                return response.status == 200 and bool((await response.json())["data"]["result"])
        return False

    def _check_servers(self) -> None:
        for name, process in self._servers.items():
            if process.returncode is not None:
                raise RuntimeError(f"{name} ended with code {process.returncode}; see {self._home.logs / f'{name}.log'}")

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"

    def _tell(self, state: str, text: str) -> None:
        """Write lab.json, which `lab up` and others read."""
        _log.info("%s: %s", state, text)
        process = processes.read(os.getpid())
        assert process is not None
        self._home.write_state(
            {
                "state": state,
                "text": text,
                "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                "seed": self._seed,
                "supervisor": {"pid": process.pid, "started": process.started},
                "servers": {name: server.pid for name, server in self._servers.items()},
                "ports": self._ports,
                "api": self._cluster.api_url,
                "pod_network": self._cluster.pod_network,
            }
        )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _address(url: str) -> str:
    return urlsplit(url).netloc


def _allow_many_files() -> None:
    """Take all the open files that the system allows: behind a service that hangs, connections pile up in its proxy."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536, hard))


async def _main(home: Home, seed: int) -> None:
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    lab = Lab(home, seed=seed)
    running = asyncio.ensure_future(lab.run(end))
    stopped = asyncio.ensure_future(end.wait())
    # A lab that is told to end while it starts does not finish starting first.
    await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
    if not running.done() and (home.state() or {}).get("state") != "ready":
        running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    stopped.cancel()


def main() -> None:
    """Run the lab of a home until SIGTERM. Exits 1 when it cannot start; the log says why."""
    home, seed = Home(sys.argv[1]), int(sys.argv[2])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    _allow_many_files()
    try:
        asyncio.run(_main(home, seed))
    except Exception as error:
        logging.getLogger("lab").exception("the lab has failed")
        state = home.state()
        if state is not None:
            home.write_state(state | {"state": "failed", "text": str(error) or type(error).__name__})
        sys.exit(1)


if __name__ == "__main__":
    main()
