"""Memory leak: memory grows until it is gone, and containers are killed for it."""

from __future__ import annotations

from runbook_lib.checks.changes import recent_changes
from runbook_lib.checks.logs import error_logs
from runbook_lib.checks.memory_trend import memory_symptom, memory_trend
from runbook_lib.checks.pods import pod_status
from runbook_lib.models.cause import CauseRule, Conjunction, ExplainedBy, Remedy
from runbook_lib.playbooks.declaration import CheckStep, Playbook

_SCARCE = ("memory_full", "memory_kills")
_LEAK_SINCE_A_RELEASE = Conjunction(
    name="leak_since_a_release",
    all_of=("diff_changes_code", "memory_leaking"),
    text="memory grows steadily since the code was changed",
    close_in_time=True,
)
_LOWERED_LIMIT_IS_FULL = Conjunction(
    name="lowered_limit_is_full",
    all_of=("diff_shrinks_memory", "memory_full"),
    none_of=("memory_leaking",),
    text="memory is short since a change lowered its limit",
)
_LOWERED_LIMIT_KILLS = Conjunction(
    name="lowered_limit_kills",
    all_of=("diff_shrinks_memory", "memory_kills"),
    none_of=("memory_leaking",),
    text="containers are killed since a change lowered their memory limit",
)
# What a full heap refuses cannot show in the memory any more: a runtime's own limit often lies below the container's.
_GROWTH_ENDS_AT_A_FULL_HEAP = Conjunction(
    name="growth_ends_at_a_full_heap",
    all_of=("memory_levels_off", "memory_full", "log_memory_errors"),
    text="memory stops growing only as allocations fail",
)
_FULL_HEAP_SINCE_A_RELEASE = Conjunction(
    name="full_heap_since_a_release",
    all_of=("diff_changes_code", "growth_ends_at_a_full_heap"),
    text="memory grows until allocations fail since the code was changed",
    close_in_time=True,
)
_SINCE_A_RELEASE = ("leak_since_a_release", "full_heap_since_a_release")
_BY_A_CHANGE = (*_SINCE_A_RELEASE, "lowered_limit_is_full", "lowered_limit_kills")

PLAYBOOK = Playbook(
    name="memory_leak",
    title="Memory leak",
    when_to_use="The alert 'memory usage exceeds 90 %', containers that are OOMKilled, or memory that grows and grows.",
    alert="HighMemoryUsage",
    symptom=memory_symptom,
    symptom_checks=("memory_trend",),
    checks=(
        CheckStep(name="memory_trend", title="Where memory is going", run=memory_trend, needs=("prometheus", "kubernetes")),
        CheckStep(name="pod_status", title="Pods", run=pod_status, needs=("kubernetes",)),
        CheckStep(name="recent_changes", title="Recent changes", run=recent_changes, needs=("kubernetes",)),
        CheckStep(name="error_logs", title="Errors in the logs", run=error_logs, needs=("logs",)),
    ),
    conjunctions=(
        _LEAK_SINCE_A_RELEASE,
        _GROWTH_ENDS_AT_A_FULL_HEAP,
        _FULL_HEAP_SINCE_A_RELEASE,
        _LOWERED_LIMIT_IS_FULL,
        _LOWERED_LIMIT_KILLS,
    ),
    causes=(
        CauseRule(
            name="bad_deployment",
            title="Recent deployment",
            mechanism=(("rollout_before_onset",), _BY_A_CHANGE),
            onset=("rollout_before_onset",),
            supports=("log_memory_errors",),
            remedies=(Remedy(action="rollback_deployment"),),
            lookback_seconds=3600,
        ),
        CauseRule(
            name="memory_leak",
            title="Memory leak in the application",
            mechanism=(("memory_leaking", "growth_ends_at_a_full_heap"), (*_SCARCE, "memory_exhaustion_ahead")),
            onset=("memory_leaking", "growth_ends_at_a_full_heap"),
            supports=("memory_kills", "log_memory_errors"),
            explained_by=tuple(ExplainedBy(cause="bad_deployment", when=(name,)) for name in _SINCE_A_RELEASE),
            remedies=(
                Remedy(action="delete_pods", when=("memory_steady_in_others",)),
                Remedy(action="restart_pods"),
                Remedy(action="delete_pods", unless=("memory_steady_in_others",)),
                Remedy(action="raise_memory_limit"),
            ),
        ),
        CauseRule(
            name="load_growth",
            title="More load needs more memory than there is",
            mechanism=(("memory_follows_load",), _SCARCE),
            onset=("memory_follows_load",),
            supports=("memory_kills",),
            remedies=(Remedy(action="raise_memory_limit"),),
        ),
        CauseRule(
            name="cache_growth",
            title="A cache or a warm-up needs more memory than there is",
            mechanism=(("memory_levels_off",), _SCARCE),
            onset=("memory_levels_off",),
            supports=("memory_kills",),
            against=("growth_ends_at_a_full_heap",),
            remedies=(Remedy(action="raise_memory_limit"),),
        ),
    ),
    actions=("take_heap_dump", "restart_pods", "delete_pods", "raise_memory_limit", "rollback_deployment"),
    prevention=(
        "Mend the leak in the code: compare two heap dumps of one pod, some minutes apart, and look at what grew.",
        "Let a test in CI run long enough to show growth, and fail it.",
        "Watch memory against its limit and its trend, not only the kills; profile it continuously where the runtime allows.",
        "Bound every cache by size; tell the runtime the container's limit (-XX:MaxRAMPercentage, --max-old-space-size).",
        "Take a raised limit back when the leak is mended: it hides the next one.",
    ),
    not_this_issue=(("requests that fail while memory is steady", "high_error_rate"),),
)
