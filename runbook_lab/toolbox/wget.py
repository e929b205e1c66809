"""Fetches a page: `wget [-q] [-S] [-O FILE] [-T SECONDS] [--header H] [--post-data D] [--spider] URL`."""

from __future__ import annotations

import argparse
import http.client
import shutil
import socket
import sys
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

from runbook_lab.hosts import resolve

_REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)


class _FetchError(Exception):
    """What went wrong, in the words of busybox."""


def main(words: list[str]) -> int:
    """Fetch what the command line asks for; 1 for whatever fails, 2 for options that are not known."""
    options = _options(words)
    try:
        _fetch(options, options.url if "://" in options.url else f"http://{options.url}")
    except _FetchError as failure:
        sys.stderr.write(f"wget: {failure}\n")
        return 1
    return 0


def _options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="wget", add_help=False, allow_abbrev=False)
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("-S", "--server-response", action="store_true")
    parser.add_argument("-O", "--output-document", default="")
    parser.add_argument("-T", "--timeout", type=float, default=900.0)
    parser.add_argument("-t", "--tries", type=int, default=1)
    parser.add_argument("-U", "--user-agent", default="Wget")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--post-data", default=None)
    parser.add_argument("--spider", action="store_true")
    parser.add_argument("url")
    return parser.parse_args(words)


def _fetch(options: argparse.Namespace, url: str) -> None:
    for _ in range(_REDIRECTS + 1):
        connection, answer = _ask(options, url)
        if options.server_response:
            lines = [f"  HTTP/1.1 {answer.status} {answer.reason}", *(f"  {key}: {value}" for key, value in answer.getheaders())]
            sys.stderr.write("\n".join(lines) + "\n")
        if answer.status in _MOVED and (target := answer.getheader("Location")):
            connection.close()
            url = urljoin(url, target)
            continue
        if answer.status >= http.client.BAD_REQUEST:
            raise _FetchError(f"server returned error: HTTP/1.1 {answer.status} {answer.reason}")
        if not options.spider:
            _save(options, url, answer)
        elif not options.quiet:
            sys.stderr.write("remote file exists\n")
        return
    raise _FetchError("too many redirections")


def _ask(options: argparse.Namespace, url: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise _FetchError(f"not an http url: {url}")
    port = parts.port or http.client.HTTP_PORT
    try:
        address = resolve(parts.hostname)
    except socket.gaierror:
        raise _FetchError(f"bad address '{parts.hostname}'") from None
    if not options.quiet:
        sys.stderr.write(f"Connecting to {parts.netloc} ({address}:{port})\n")
    headers = {"Host": parts.netloc, "User-Agent": options.user_agent, "Connection": "close"}
    headers |= {name.strip(): value.strip() for name, _, value in (header.partition(":") for header in options.header)}
    body = options.post_data
    if body is not None:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    connection = http.client.HTTPConnection(address, port, timeout=options.timeout)
    try:
        connection.connect()
    except OSError as error:
        raise _FetchError(f"can't connect to remote host ({address}): {_words(error)}") from None
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        connection.request("GET" if body is None else "POST", path, body=body, headers=headers)
        return connection, connection.getresponse()
    except TimeoutError:
        raise _FetchError("download timed out") from None
    except (OSError, http.client.HTTPException) as error:
        raise _FetchError(f"error getting response: {error}") from None


def _save(options: argparse.Namespace, url: str, answer: http.client.HTTPResponse) -> None:
    name = options.output_document or Path(urlsplit(url).path).name or "index.html"
    shown = "stdout" if name == "-" else f"'{name}'"
    if not options.quiet:
        sys.stderr.write("writing to stdout\n" if name == "-" else f"saving to {shown}\n")
    try:
        if name == "-":
            _copy(answer, sys.stdout.buffer)
        else:
            with Path(name).open("xb" if not options.output_document else "wb") as file:
                _copy(answer, file)
    except FileExistsError:
        raise _FetchError(f"can't open {shown}: File exists") from None
    except TimeoutError:
        raise _FetchError("download timed out") from None
    except (OSError, http.client.HTTPException) as error:
        raise _FetchError(f"error getting response: {error}") from None
    if not options.quiet:
        sys.stderr.write("written to stdout\n" if name == "-" else f"{shown} saved\n")


def _copy(answer: http.client.HTTPResponse, target: BinaryIO) -> None:
    shutil.copyfileobj(answer, target)
    target.flush()


def _words(error: OSError) -> str:
    return "Connection timed out" if isinstance(error, TimeoutError) else error.strerror or str(error)
