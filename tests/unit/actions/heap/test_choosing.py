"""What a survey says, which way is chosen, and whether there is room: no container is asked."""

import pytest

from runbook_lib.actions.heap.estimates import estimate
from runbook_lib.actions.heap.room import bursts, directory_for, warnings
from runbook_lib.actions.heap.survey import Directory, parse_survey, script
from runbook_lib.actions.heap.target import Dumped
from runbook_lib.actions.heap.ways import Choice, chosen_way, runtime_of
from runbook_lib.models.plan import Refusal

MIB = 1024 * 1024
CATCHES_USR1, CATCHES_BOTH, CATCHES_NONE = "0000000100004602", "0000000100004e02", "0000000100004002"


def survey(program="/usr/local/bin/node", *, caught=CATCHES_USR1, options=(), tools=(), resident_kib=100 * 1024, free_kib=10**7):
    lines = [
        *(f"tool\t{tool}\t/usr/bin/{tool}" for tool in tools),
        f"process\t7\t4711\t{program}\t{caught}\t{resident_kib}\t/app",
        *(f"option\t7\t{option}" for option in options),
        f"directory\t/app\t{free_kib}",
        f"directory\t/tmp\t{free_kib}",
        f"directory\t/dev/shm\t{free_kib}",
        "mount\toverlay\t/",
        "mount\ttmpfs\t/dev/shm",
        "what is this",
        "process\tgarbage",
    ]
    return parse_survey(lines)


def way(**seen):
    found = survey(**seen)
    return chosen_way(found.processes[0], found, histogram=False)


def dumped(*, memory="512Mi", alone=False, **container):
    spec = {"name": "shop", "resources": {"limits": {"memory": memory}}} | container
    pod = {"metadata": {"name": "shop-0", "uid": "u"}, "spec": {"containers": [spec], "volumes": container.pop("volumes", [])}}
    return Dumped(pod, spec, alone)


def test_a_survey_is_read_and_what_is_not_understood_passed_over():
    found = survey(options=["--inspect-port=9230"], tools=["cat"])
    (process,) = found.processes
    assert (process.pid, process.started, process.runtime, process.resident_bytes) == (7, 4711, "node", 100 * MIB)
    assert found.tools == {"cat": "/usr/bin/cat"}
    assert found.directory("/dev/shm") == Directory("/dev/shm", 10**7 * 1024, in_memory=True)
    assert found.directory("/tmp") == Directory("/tmp", 10**7 * 1024, in_memory=False)


def test_the_scripts_fit_into_the_address_of_a_request():
    assert all(len(script(name)) < 2500 for name in ("survey.sh", "dump.sh"))


def test_sigusr2_is_sent_only_to_a_process_that_was_started_for_it_and_handles_it():
    started_for_it = ["--heapsnapshot-signal=SIGUSR2"]
    assert way(caught=CATCHES_BOTH, options=started_for_it) == Choice(way="signal", format="heapsnapshot", directory="/app")
    assert way(caught=CATCHES_USR1, options=started_for_it).way == "inspector"
    assert way(caught=CATCHES_BOTH).way == "inspector"


def test_sigusr1_is_not_sent_to_a_process_that_it_would_end():
    refusal = way(caught=CATCHES_NONE)
    assert isinstance(refusal, Refusal)
    assert "would end it" in refusal.reason


def test_an_inspector_that_is_open_already_needs_no_signal():
    assert way(caught=CATCHES_NONE, options=["--inspect=127.0.0.1:9333"]).arguments[-1] == "9333"


@pytest.mark.parametrize(
    ("options", "port"),
    [([], "9229"), (["--inspect"], "9229"), (["--inspect-port=0.0.0.0:9300"], "9300"), (["--inspect=9400"], "9400")],
)
def test_the_inspector_s_port_is_the_one_of_the_options(options, port):
    assert way(options=options).arguments[-1] == port


def test_the_snapshot_of_a_signal_goes_to_the_diagnostic_directory():
    options = ["--heapsnapshot-signal=SIGUSR2", "--diagnostic-dir=/dumps"]
    assert way(caught=CATCHES_BOTH, options=options).directory == "/dumps"


@pytest.mark.parametrize(("tools", "chosen"), [(["jcmd", "jmap"], "jcmd"), (["jmap"], "jmap")])
def test_a_jvm_is_asked_by_the_tools_of_its_jdk(tools, chosen):
    assert way(program="/opt/jdk/bin/java", tools=tools).way == chosen


def test_a_jre_without_tools_names_the_ways_out():
    refusal = way(program="/opt/jre/bin/java")
    assert isinstance(refusal, Refusal)
    assert all(words in refusal.mend for words in ("kubectl debug", "HeapDumpOnOutOfMemoryError", "dump_path"))


def test_a_jvm_that_lets_nobody_attach_is_not_attached_to():
    assert isinstance(way(program="/opt/jdk/bin/java", tools=["jcmd"], options=["-XX:+DisableAttachMechanism"]), Refusal)


def test_only_a_jvm_counts_its_classes():
    found = survey(program="/opt/jdk/bin/java", tools=["jcmd"])
    assert chosen_way(found.processes[0], found, histogram=True).format == "class_histogram"
    assert isinstance(chosen_way(survey().processes[0], survey(), histogram=True), Refusal)


def test_python_that_was_not_prepared_is_said_to_give_none():
    refusal = way(program="/usr/bin/python3.11")
    assert isinstance(refusal, Refusal)
    assert "heap_dumps" in refusal.mend


@pytest.mark.parametrize(
    ("technology", "runtime"),
    [
        ("Node.js 20", "node"),
        ("Java 17, Spring Boot", "java"),
        ("Python 3.11", "python"),
        ("JavaScript", "node"),
        ("Go 1.22", None),
    ],
)
def test_the_runtime_is_read_from_the_technology(technology, runtime):
    assert runtime_of(technology) == runtime


NEEDED = estimate("jcmd", 100 * MIB)


def place(found, pod, **wanted):
    return directory_for(found, pod, NEEDED, **({"only": None, "preferred": []} | wanted))


def test_a_disk_is_taken_before_memory_and_the_preferred_one_before_others():
    assert place(survey(), dumped()).path == "/app"
    assert place(survey(), dumped(), preferred=["/dev/shm", "/tmp"]).path == "/tmp"


def test_a_full_disk_is_refused_with_what_is_needed_and_free():
    refusal = place(survey(free_kib=1024), dumped())
    assert isinstance(refusal, Refusal)
    assert "150 MiB" in refusal.reason
    assert "1 MiB" in refusal.reason


def test_memory_that_counts_against_the_limit_is_refused_where_it_is_short():
    assert isinstance(place(survey(), dumped(memory="300Mi"), only="/dev/shm"), Refusal)
    assert place(survey(), dumped(memory="400Mi"), only="/dev/shm").path == "/dev/shm"


def test_a_dump_beyond_the_limit_of_ephemeral_storage_would_get_the_pod_evicted():
    limits = {"limits": {"memory": "512Mi", "ephemeral-storage": "100Mi"}}
    refusal = place(survey(), dumped(resources=limits), only="/tmp")
    assert isinstance(refusal, Refusal)
    assert "evicted" in refusal.reason


def test_a_node_that_would_be_killed_by_its_snapshot_is_told_apart_from_one_that_may_be():
    snapshot = estimate("inspector", 100 * MIB)
    assert "OOM-killed" in bursts(survey(), dumped(memory="200Mi"), snapshot)
    assert bursts(survey(), dumped(memory="512Mi"), snapshot) == ""
    assert any("small objects" in text for text in warnings(survey(), dumped(memory="512Mi"), snapshot, stops=True))
    assert warnings(survey(), dumped(memory="2Gi"), snapshot, stops=True) == []


def test_a_liveness_probe_that_would_not_wait_is_told():
    probe = {"livenessProbe": {"periodSeconds": 5, "failureThreshold": 2}}
    snapshot = estimate("inspector", 100 * MIB)
    assert any(
        "liveness probe gives up after 10 s" in text
        for text in warnings(survey(), dumped(memory="2Gi", **probe), snapshot, stops=True)
    )
    assert warnings(survey(), dumped(memory="2Gi", livenessProbe={}), estimate("histogram", MIB), stops=True) == []
