import json
from datetime import UTC, datetime

from runbook_lib.models.window import Window
from runbook_lib.sources.configuration import change_rows, config_map_facts

WINDOW = Window(datetime(2026, 5, 4, 3, 0, tzinfo=UTC), datetime(2026, 5, 4, 4, 0, tzinfo=UTC))
INSIDE, BEFORE = "2026-05-04T03:11:00Z", "2026-04-01T10:00:00Z"


def wrote(manager, time, *keys):
    return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": {"f:data": {f"f:{key}": {} for key in keys}}}


def config_map(data, *writers, applied=None):
    annotations = (
        {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": applied})} if applied is not None else {}
    )
    metadata = {"name": "orders-config", "resourceVersion": "9", "annotations": annotations, "managedFields": list(writers)}
    return {"kind": "ConfigMap", "metadata": metadata, "data": data}


DATA = {"POOL_SIZE": "5", "PAYMENTS_URL": "http://payments", "LOG": "info"}


def changed(one):
    return {key: (old, new) for _, key, old, new, _ in change_rows(one, window=WINDOW)}


def test_when_the_content_was_written_is_known_from_who_manages_it():
    labels_only = {"manager": "labeller", "time": "2026-05-04T03:50:00Z", "fieldsV1": {"f:metadata": {}}}
    facts = config_map_facts(
        config_map(DATA, wrote("helm", BEFORE, *DATA), wrote("kubectl-edit", INSIDE, "POOL_SIZE"), labels_only)
    )
    assert facts["updated_at"] == datetime(2026, 5, 4, 3, 11, tzinfo=UTC)
    assert facts["updated_by"] == "kubectl-edit"
    assert facts["data"] == DATA
    assert facts["last_applied"] is None


def test_without_managed_fields_nobody_knows_when():
    assert config_map_facts(config_map(DATA))["updated_at"] is None
    assert change_rows(config_map(DATA), window=WINDOW) == []


def test_what_differs_from_what_was_applied_is_told_with_both_values():
    one = config_map(DATA, wrote("kubectl-edit", INSIDE, "POOL_SIZE"), applied={**DATA, "POOL_SIZE": "50", "GONE": "1"})
    assert changed(one) == {"POOL_SIZE": ("50", "5"), "GONE": ("1", None)}


def test_a_drift_from_before_the_window_is_told_with_its_time():
    one = config_map(DATA, wrote("kubectl-edit", BEFORE, "POOL_SIZE"), applied={**DATA, "POOL_SIZE": "50"})
    ((_, key, _, _, at),) = change_rows(one, window=WINDOW)
    assert key == "POOL_SIZE"
    assert at == datetime(2026, 4, 1, 10, 0, tzinfo=UTC)


def test_an_edit_names_its_keys_though_the_old_value_is_not_known():
    one = config_map(DATA, wrote("helm", BEFORE, "PAYMENTS_URL", "LOG"), wrote("kubectl-patch", INSIDE, "POOL_SIZE"))
    assert changed(one) == {"POOL_SIZE": (None, "5")}


def test_a_writer_of_all_keys_does_not_make_all_of_them_changed():
    one = config_map(DATA, wrote("kubectl-client-side-apply", INSIDE, *DATA), applied=DATA)
    assert changed(one) == {"": (None, None)}


def test_what_was_written_before_the_window_is_no_change():
    assert change_rows(config_map(DATA, wrote("helm", BEFORE, *DATA), applied=DATA), window=WINDOW) == []


def test_being_created_in_the_window_is_no_change_but_what_comes_after_is():
    one = config_map(DATA, wrote("lab", INSIDE, *DATA))
    one["metadata"]["creationTimestamp"] = INSIDE
    assert change_rows(one, window=WINDOW) == []
    one = config_map(
        DATA, wrote("lab", INSIDE, "PAYMENTS_URL", "LOG"), wrote("kubectl-edit", "2026-05-04T03:30:00Z", "POOL_SIZE")
    )
    one["metadata"]["creationTimestamp"] = INSIDE
    assert changed(one) == {"POOL_SIZE": (None, "5")}


def test_a_write_after_a_window_of_the_past_does_not_hide_the_one_in_it():
    later = wrote("helm", "2026-05-04T05:00:00Z", "LOG")
    one = config_map(DATA, wrote("kubectl-edit", INSIDE, "POOL_SIZE"), later)
    assert changed(one) == {"POOL_SIZE": (None, "5")}


def test_a_secret_in_a_config_map_is_hidden():
    one = config_map({"DB_PASSWORD": "hunter2"}, wrote("kubectl-edit", INSIDE, "DB_PASSWORD"), applied={"DB_PASSWORD": "hunter1"})
    assert "hunter" not in str(change_rows(one, window=WINDOW))


def test_what_was_applied_anew_is_told_from_what_was_given_back_its_applied_value():
    applies = wrote("kubectl-client-side-apply", INSIDE, "POOL_SIZE")
    applies["fieldsV1"]["f:metadata"] = {"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}}
    assert config_map_facts(config_map(DATA, applies, applied=DATA))["applied_keys"] == {"POOL_SIZE"}
    by_hand = wrote("kubectl-edit", INSIDE, "POOL_SIZE")
    assert config_map_facts(config_map(DATA, by_hand, applied=DATA))["applied_keys"] == frozenset()


def test_the_keys_are_those_of_binary_data_too():
    facts = config_map_facts({**config_map(DATA), "binaryData": {"truststore.jks": "AAAA"}})
    assert facts["keys"] == sorted([*DATA, "truststore.jks"])
    assert facts["data"] == DATA
