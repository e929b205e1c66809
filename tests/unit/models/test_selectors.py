from runbook_lib.models.selectors import selector_text, selects

LABELS = {"app": "orders", "tier": "web"}


def test_an_empty_selector_matches_everything_and_a_missing_one_nothing():
    assert selects({}, LABELS)
    assert not selects(None, LABELS)


def test_labels_and_expressions_must_all_hold():
    def expression(key, operator, *values):
        return {
            "matchLabels": {"app": "orders"},
            "matchExpressions": [{"key": key, "operator": operator, "values": list(values)}],
        }

    assert selects(expression("tier", "In", "web", "api"), LABELS)
    assert not selects(expression("tier", "NotIn", "web"), LABELS)
    assert selects(expression("tier", "Exists"), LABELS)
    assert selects(expression("canary", "DoesNotExist"), LABELS)
    assert not selects(expression("tier", "Matches", "web"), LABELS)
    assert not selects({"matchLabels": {"app": "payments"}}, LABELS)


def test_a_selector_is_written_as_kubectl_takes_it():
    selector = {
        "matchLabels": {"app": "orders"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["web", "api"]},
            {"key": "canary", "operator": "DoesNotExist"},
        ],
    }
    assert selector_text(selector) == "app=orders,tier in (web,api),!canary"
