import re
from pathlib import Path

import pytest
import yaml

from runbook_lib.errors import ConfigurationError
from runbook_lib.service import Service, load_service, service_from

MINIMAL = """\
service:
  name: orders
  environment: prod
  overview: {purpose: Takes orders, owner: Orders team, tier: 1}
  components:
    application: {deployment: orders, selector: app=orders}
  connections:
    prometheus: {url: "http://prometheus:9090"}
"""


def written(folder: Path, text: str = MINIMAL, name: str = "orders.prod.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load_service(written(folder, text))
    return str(refused.value).replace(f"{folder}/", "")


def with_connections(text: str) -> str:
    return MINIMAL + text


def test_a_small_file_is_enough(tmp_path):
    service = load_service(written(tmp_path))
    assert (service.name, service.environment, service.thresholds.error_ratio.critical) == ("orders", "prod", 0.05)


def test_a_literal_password_is_told_with_file_line_field_and_mend_and_without_itself(tmp_path):
    text = with_connections("    postgres:\n      dsn: postgresql://orders:hunter2@db/orders\n")
    assert complaint(tmp_path, text) == (
        "orders.prod.yaml, line 10: service.connections.postgres.dsn must be a reference such as env:ORDERS_DSN; "
        "found a literal password"
    )


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_lines(tmp_path):
    text = MINIMAL.replace("tier: 1", "tier: 9").replace("selector: app=orders", "selector: app orders") + "  polcy: {}\n"
    lines = complaint(tmp_path, text).splitlines()
    assert [re.match(r"orders.prod.yaml, line (\d+): (\S+)", line).groups() for line in lines] == [
        ("4", "service.overview.tier:"),
        ("6", "service.components.application.selector"),
        ("9", "service.polcy"),
    ]


def test_an_unknown_field_is_told_with_the_nearest_known_one(tmp_path):
    text = MINIMAL + "  dependencies:\n    downstream:\n      - {name: payments, timeout_second: 5}\n"
    assert complaint(tmp_path, text) == (
        "orders.prod.yaml, line 11: service.dependencies.downstream[0].timeout_second is not known; did you mean timeout_seconds?"
    )


def test_a_missing_field_is_told_with_the_line_of_what_lacks_it(tmp_path):
    assert complaint(tmp_path, MINIMAL.replace(", owner: Orders team", "")) == (
        "orders.prod.yaml, line 4: service.overview.owner is missing; it is required"
    )


def test_a_key_that_is_given_twice_is_refused_since_yaml_would_keep_the_last(tmp_path):
    assert (
        complaint(tmp_path, MINIMAL + "  name: payments\n") == "orders.prod.yaml, line 9: name is given twice; remove one of them"
    )


@pytest.mark.parametrize("text", ["", "- a\n", "name: orders\n", "service: text\n"])
def test_a_file_without_the_top_level_key_says_what_is_expected(text, tmp_path):
    assert "service" in complaint(tmp_path, text)


def test_broken_yaml_is_told_with_its_line_and_without_quoting_it(tmp_path):
    said = complaint(tmp_path, MINIMAL + "    postgres: {dsn: [hunter2\n")
    assert re.search(r"line \d+: is not YAML", said)
    assert "hunter2" not in said


def test_a_secret_in_a_field_that_is_only_shown_is_found_too(tmp_path):
    said = complaint(tmp_path, MINIMAL + "  dashboards:\n    - {name: Logs, url: 'https://reader:hunter2@logs.example.com'}\n")
    assert said.startswith("orders.prod.yaml, line 10: service.dashboards[0].url must be a reference")
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "fields", ["{password: hunter2, username: x}", "{bearer_token: hunter2}", "{headers: {Authorization: hunter2}}"]
)
def test_no_complaint_repeats_a_secret(fields, tmp_path):
    text = MINIMAL.replace('{url: "http://prometheus:9090"}', fields[:-1] + ', url: "http://prometheus:9090", nonsense: hunter2}')
    assert "hunter2" not in complaint(tmp_path, text)


def test_a_password_written_as_a_number_is_not_repeated(tmp_path):
    assert "4711" not in complaint(tmp_path, MINIMAL.replace('url: "http', 'password: 4711, username: x, url: "http'))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("  limits: {onset_lookback: soon}\n", "must be a duration longer than zero"),
        ("  limits: {onset_lookback: 0m}\n", "must be a duration longer than zero"),
        ("  limits: {check_deadline_seconds: .inf}\n", "finite"),
        ("  thresholds: {error_ratio: {normal: 5, warning: 1, critical: 2}}\n", "must be ordered normal <= warning <= critical"),
        ("  thresholds: {error_ratio: {normal: 1, warning: 2, critical: 5}}\n", "as a ratio between 0 and 1"),
        ("  escalation: {levels: [{level: 2, title: B, when: []}, {level: 1, title: A, when: []}]}\n", "in ascending order"),
        ("  dependencies: {downstream: [{name: a}, {name: a}]}\n", "each downstream once"),
        (
            "  policy: {auto_approve: [restart_pods], forbidden_actions: [restart_pods]}\n",
            "must not auto_approve what it forbids",
        ),
        ("  policy: {auto_approve: [restart_pods], enabled_actions: [rollback_deployment]}\n", "must list in enabled_actions"),
    ],
)
def test_values_that_contradict_themselves_are_refused(change, message, tmp_path):
    assert message in complaint(tmp_path, MINIMAL + change)


@pytest.mark.parametrize(
    "selector", ["app=orders", "app==orders,tier!=batch", "tier in (web, api),!canary", "app.kubernetes.io/name=orders"]
)
def test_label_selectors_are_those_of_kubernetes(selector, tmp_path):
    text = MINIMAL.replace("selector: app=orders", f"selector: '{selector}'")
    assert load_service(written(tmp_path, text)).components.application.selector == selector


def test_a_service_is_found_by_name_and_environment(tmp_path):
    written(tmp_path)
    assert service_from("orders", "prod", tmp_path).name == "orders"


def test_an_environment_need_not_be_named_when_there_is_only_one(tmp_path):
    written(tmp_path)
    assert service_from("orders", None, tmp_path).environment == "prod"
    written(tmp_path, MINIMAL.replace("prod", "lab"), "orders.lab.yaml")
    with pytest.raises(ConfigurationError, match="choose an environment: lab, prod"):
        service_from("orders", "", tmp_path)


def test_a_wrong_name_or_environment_is_told_with_those_there_are(tmp_path):
    written(tmp_path)
    with pytest.raises(ConfigurationError, match="it exists for prod"):
        service_from("orders", "staging", tmp_path)
    with pytest.raises(ConfigurationError, match=r"the folder has orders\.prod"):
        service_from("order", "prod", tmp_path)
    with pytest.raises(ConfigurationError, match="that folder does not exist"):
        service_from("orders", "prod", tmp_path / "nowhere")


def test_a_file_whose_name_and_content_disagree_is_refused(tmp_path):
    written(tmp_path, MINIMAL, "orders.lab.yaml")
    with pytest.raises(ConfigurationError, match="make them agree"):
        service_from("orders", "lab", tmp_path)


def test_the_mapping_that_papermill_injects_is_a_service(tmp_path):
    mapping = yaml.safe_load(MINIMAL)
    assert service_from(mapping["service"]) == service_from(mapping) == load_service(written(tmp_path))


def test_a_literal_secret_in_an_injected_mapping_is_refused():
    mapping = yaml.safe_load(with_connections("    postgres: {dsn: 'postgresql://o:hunter2@db/o'}\n"))
    with pytest.raises(
        ConfigurationError, match=r"parameter service: service.connections.postgres.dsn must be a reference"
    ) as refused:
        service_from(mapping["service"])
    assert "hunter2" not in str(refused.value)


def test_a_service_survives_the_way_into_a_notebook_and_back(tmp_path):
    service = load_service(written(tmp_path))
    assert service_from(service.model_dump(mode="json")) == service
    assert service_from(service) is service


def test_the_folder_of_the_parameters_is_found_from_a_notebooks_own_folder(tmp_path, monkeypatch):
    (tmp_path / "parameters").mkdir()
    (tmp_path / "notebooks").mkdir()
    written(tmp_path / "parameters")
    monkeypatch.delenv("RUNBOOK_PARAMETERS", raising=False)
    monkeypatch.chdir(tmp_path / "notebooks")
    assert service_from("orders", "prod").name == "orders"


def test_a_service_cannot_be_changed_by_accident(tmp_path):
    service = load_service(written(tmp_path))
    with pytest.raises(ValueError, match="frozen"):
        service.name = "payments"
    assert isinstance(service, Service)
