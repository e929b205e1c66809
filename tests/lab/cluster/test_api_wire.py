"""The two binary protocols that kubectl speaks: protobuf bodies (from 1.32) and exec over SPDY (before 1.30)."""

import contextlib
import json
import socket
import ssl
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lab.cluster.access import OPERATOR
from runbook_lab.cluster.api.spdy import DICTIONARY
from runbook_lab.cluster.schema.protobuf import ProtobufError, read_protobuf
from runbook_lab.cluster.schema.wire import WireError, wire_fields

pytestmark = pytest.mark.lab


def part(number, content):
    data = content.encode() if isinstance(content, str) else content
    key = number << 3 | 2
    return (bytes([key]) if key < 0x80 else bytes([key & 0x7F | 0x80, key >> 7])) + bytes([len(data)]) + data


def varint(number, value):
    return bytes([number << 3, value])


def envelope(api_version, kind, content):
    return b"k8s\x00" + part(1, part(1, api_version) + part(2, kind)) + part(2, content)


def test_a_config_map_is_read_from_protobuf():
    metadata = part(1, "settings") + part(3, "shop") + part(4, "") + part(8, b"") + part(11, part(1, "app") + part(2, "orders"))
    content = part(1, metadata) + part(2, part(1, "a") + part(2, "1")) + part(2, part(1, "empty") + part(2, ""))

    assert read_protobuf(envelope("v1", "ConfigMap", content)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop", "labels": {"app": "orders"}},
        "data": {"a": "1", "empty": ""},
    }


def test_zero_replicas_are_zero_and_inlined_sources_are_flat():
    reference = part(2, part(1, part(1, "settings")))
    container = part(1, "orders") + part(19, reference)
    template = part(2, part(2, container))
    deployment = read_protobuf(envelope("apps/v1", "Deployment", part(2, varint(1, 0) + part(3, template))))

    assert deployment["spec"]["replicas"] == 0
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container == {"name": "orders", "envFrom": [{"configMapRef": {"name": "settings"}}]}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"k8s\x00\xff", envelope("batch/v1", "Job", b""), envelope("v1", "ConfigMap", part(15, "unknown field"))],
)
def test_what_is_not_known_is_refused_not_guessed(body):
    with pytest.raises(ProtobufError):
        read_protobuf(body)


@given(st.binary(max_size=60))
def test_any_bytes_are_fields_or_a_wire_error(data):
    with contextlib.suppress(WireError):
        assert all(number >= 0 for number, _ in wire_fields(data))


class SpdyClient:
    """As much of a SPDY client as `kubectl exec` is."""

    def __init__(self, api):
        context = ssl.create_default_context(cadata=api.access.certificate.authority.decode())
        port = int(api.url.rpartition(":")[2])
        self.connection = context.wrap_socket(
            socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="localhost"
        )
        self.token = api.access.tokens[OPERATOR]
        self.deflate, self.inflate = zlib.compressobj(zdict=DICTIONARY), zlib.decompressobj(zdict=DICTIONARY)

    def upgrade(self, path):
        request = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\nConnection: Upgrade\r\n"
            "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n\r\n"
        )
        self.connection.sendall(request.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.connection.recv(1)
        return head.decode()

    def open(self, stream, kind):
        pairs = struct.pack(">I", 1) + b"".join(struct.pack(">I", len(text)) + text.encode() for text in ("streamtype", kind))
        block = self.deflate.compress(pairs) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        body = struct.pack(">IIH", stream, 0, 0) + block
        self.connection.sendall(struct.pack(">HHB", 0x8003, 1, 0) + len(body).to_bytes(3, "big") + body)

    def write(self, stream, content, last=False):
        self.connection.sendall(struct.pack(">IB", stream, int(last)) + len(content).to_bytes(3, "big") + content)

    def ping(self, number):
        self.connection.sendall(struct.pack(">HHB", 0x8003, 6, 0) + (4).to_bytes(3, "big") + struct.pack(">I", number))

    def frames(self):
        """Give (kind or stream, is control, flags, body) of each frame until the server closes."""
        with self.connection.makefile("rb") as incoming:
            while len(head := incoming.read(8)) == 8:
                control = bool(head[0] & 0x80)
                name = int.from_bytes(head[2:4] if control else head[:4], "big")
                yield name, control, head[4], incoming.read(int.from_bytes(head[5:8], "big"))


def test_the_dictionary_of_spdy_is_the_one_of_the_protocol():
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_exec_works_over_spdy(api):
    client = SpdyClient(api)
    head = client.upgrade("/api/v1/namespaces/shop/pods/orders-0/exec?command=cat&stdin=true&stdout=true&stderr=true")
    assert head.startswith("HTTP/1.1 101")
    assert "X-Stream-Protocol-Version: v4.channel.k8s.io" in head
    for stream, kind in ((1, "error"), (3, "stdin"), (5, "stdout"), (7, "stderr")):
        client.open(stream, kind)
    client.ping(9)
    client.write(3, b"through spdy\n")
    client.write(3, b"", last=True)

    written, status, control = {5: b"", 7: b"", 1: b""}, None, []
    for name, is_control, flags, body in client.frames():
        if is_control:
            control.append(name)
        else:
            written[name] += body
            if name == 1 and flags & 1:
                status = json.loads(written[1])
                client.connection.close()
                break
    assert written[5] == b"through spdy\n"
    assert status["status"] == "Success"
    assert control.count(2) == 4, "each stream was accepted"
    assert control.count(6) == 1, "the ping was answered"


def test_a_refusal_comes_before_the_upgrade(api):
    head = SpdyClient(api).upgrade("/api/v1/namespaces/shop/pods/orders-0/exec?command=ls&container=nope&stdout=true")

    assert head.startswith("HTTP/1.1 400")
