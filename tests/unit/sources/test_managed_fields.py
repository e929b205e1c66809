from datetime import UTC, datetime

from runbook_lib.sources.managed_fields import keys_written, last_write

WRITES = {
    "managedFields": [
        {"manager": "apply", "time": "2026-05-01T00:00:00Z", "fieldsV1": {"f:data": {".": {}, "f:user": {}, "f:password": {}}}},
        {"manager": "rotate", "time": "2026-05-04T03:12:00Z", "fieldsV1": {"f:data": {"f:password": {}}}},
        {"manager": "label", "time": "2026-05-05T00:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": {}}}},
    ]
}


def test_the_last_write_below_a_path_counts():
    written = last_write(WRITES, "f:data")
    assert written is not None
    assert (written.manager, written.at) == ("rotate", datetime(2026, 5, 4, 3, 12, tzinfo=UTC))
    assert last_write(WRITES, "f:spec", "f:selector") is None
    assert last_write({}, "f:data") is None


def test_the_keys_of_a_secret_are_known_without_its_values():
    assert keys_written(WRITES, "f:data") == ["password", "user"]
    assert keys_written({}, "f:data") == []
