"""The programs that a check runs in a container: each gives the same lines, whatever the image has."""

import shutil
import socket
import subprocess
from urllib.parse import quote_plus

import pytest

from runbook_lib.checks import connecting

WAYS = {way[0]: way for way in connecting._WAYS}


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def run(program, *places, tries=2):
    name, option, file, *more = WAYS[program]
    command = [name, option, connecting._program(file), *more, str(tries), "1", "5", *places]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert all(len(line) == 4 for line in lines)
    return {place: [line for line in lines if line[0] == place] for place in ("self", *places)}


@pytest.mark.parametrize("program", list(WAYS))
def test_each_program_tells_what_is_reached_what_refuses_and_what_has_no_name(program, listening):
    if shutil.which(program) is None:
        pytest.fail(f"{program} is needed to try what runs in a container")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # nobody listens
        refusing = f"127.0.0.1:{bound.getsockname()[1]}"
        found = run(program, f"127.0.0.1:{listening}", refusing, "no-such-name.invalid:1")
    reached = found[f"127.0.0.1:{listening}"]
    assert len(reached) == 2
    assert all(float(line[2]) >= 0 and line[3] == "" for line in reached)
    assert [bool(line[3]) for line in found[refusing]] == [True]  # once: it would be in vain again
    assert [line[3][:5] for line in found["no-such-name.invalid:1"]] == ["name:"]
    assert found["self"]


@pytest.mark.parametrize("program", list(WAYS))
def test_a_program_stays_short_enough_for_the_address_of_a_request(program):
    # nginx holds an address to 8 KiB; the rest of it is the path and up to twenty places
    assert len(quote_plus(connecting._program(WAYS[program][2]))) < 6000
