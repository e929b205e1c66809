from runbook_lab.demo import summary


def test_the_summary_has_five_lines_with_the_symptom_the_cause_and_the_proposal():
    record = {
        "service": "orders",
        "summary": "31 % of requests fail.",
        "onset_at": "2026-05-04T03:12:40.928000Z",
        "symptoms": [
            {"name": "error_ratio", "value": 0.3123, "unit": "ratio", "breached": True},
            {"name": "latency_p95", "value": None, "unit": "seconds", "breached": None},
        ],
        "causes": [
            {"name": "bad_deployment", "title": "Recent deployment", "verdict": "confirmed", "because_of": None},
            {"name": "db_pool_exhausted", "verdict": "confirmed", "because_of": "bad_deployment"},
            {"name": "memory_leak", "verdict": "ruled_out", "because_of": None},
        ],
        "actions": [
            {"name": "rollback_deployment", "target": "deployment/orders", "recommended_for": ["bad_deployment"]},
            {"name": "restart_pods", "target": "deployment/orders", "recommended_for": []},
        ],
    }
    assert summary(record, seconds=41.6) == [
        "What is wrong:   orders: error ratio 31.2%",
        "Since:           2026-05-04T03:12:40Z",
        "Confirmed cause: Recent deployment (bad_deployment)",
        "Proposed:        rollback_deployment on deployment/orders",
        "From the fault to the report: 42 s, with nobody asked",
    ]
