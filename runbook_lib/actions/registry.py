"""All actions by name: what playbooks, service files and the parameter `approve` may speak of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from runbook_lib.actions.cache_memory import RAISE_CACHE_MEMORY
from runbook_lib.actions.cache_ttl import SET_CACHE_TTL
from runbook_lib.actions.cache_warming import WARM_CACHE
from runbook_lib.actions.circuit_breaker import CLOSE_CIRCUIT_BREAKER, OPEN_CIRCUIT_BREAKER
from runbook_lib.actions.configuration import RESTORE_CONFIGURATION
from runbook_lib.actions.database_restart import RESTART_DATABASE
from runbook_lib.actions.eviction_policy import SET_EVICTION_POLICY
from runbook_lib.actions.feature_flag import DISABLE_FEATURE_FLAG
from runbook_lib.actions.heap import TAKE_HEAP_DUMP
from runbook_lib.actions.index import CREATE_INDEX
from runbook_lib.actions.interface import Action
from runbook_lib.actions.memory_limit import RAISE_MEMORY_LIMIT
from runbook_lib.actions.network_policy import DELETE_NETWORK_POLICY
from runbook_lib.actions.pod_deletion import DELETE_PODS
from runbook_lib.actions.pool_size import RAISE_POOL_SIZE
from runbook_lib.actions.resources import SET_RESOURCES
from runbook_lib.actions.restart import RESTART_PODS
from runbook_lib.actions.rollback import ROLLBACK_DEPLOYMENT
from runbook_lib.actions.scale import SCALE_DEPLOYMENT
from runbook_lib.actions.service_selector import FIX_SERVICE_SELECTOR
from runbook_lib.actions.session import TERMINATE_SESSION
from runbook_lib.actions.statement import CANCEL_STATEMENT
from runbook_lib.actions.test_pod import RUN_TEST_POD

__all__ = ["ACTIONS"]

ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        action.name: action
        for action in (
            RESTART_PODS,
            DELETE_PODS,
            RAISE_POOL_SIZE,
            OPEN_CIRCUIT_BREAKER,
            CLOSE_CIRCUIT_BREAKER,
            ROLLBACK_DEPLOYMENT,
            RESTORE_CONFIGURATION,
            DISABLE_FEATURE_FLAG,
            RESTART_DATABASE,
            FIX_SERVICE_SELECTOR,
            DELETE_NETWORK_POLICY,
            RUN_TEST_POD,
            TAKE_HEAP_DUMP,
            RAISE_MEMORY_LIMIT,
            SCALE_DEPLOYMENT,
            SET_RESOURCES,
            CANCEL_STATEMENT,
            TERMINATE_SESSION,
            CREATE_INDEX,
            SET_EVICTION_POLICY,
            RAISE_CACHE_MEMORY,
            WARM_CACHE,
            SET_CACHE_TTL,
        )
    }
)
