import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from runbook_lib.errors import ConfigurationError
from runbook_lib.service.reference import PathReference, Reference, SecretReference, expand


class Model(BaseModel):
    address: Reference | None = None
    token: SecretReference | None = None
    path: PathReference | None = None


def test_a_variable_is_fetched_when_it_is_needed_and_not_before(monkeypatch):
    reference = Model(token="env:ORDERS_TOKEN").token
    monkeypatch.setenv("ORDERS_TOKEN", "s3cret")
    assert reference.resolve() == "s3cret"


def test_a_file_gives_its_text_without_the_newline_that_editors_add(tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    assert Reference(f"file:{tmp_path}/token").resolve() == "s3cret"


def test_a_relative_file_is_relative_to_the_service_file(tmp_path):
    (tmp_path / "token").write_text("s3cret")
    model = Model.model_validate({"token": "file:token"}, context={"base": tmp_path})
    assert model.token.resolve() == "s3cret"


def test_a_path_may_use_variables_defaults_and_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LAB", raising=False)
    assert expand("${LAB:-~/.lab}/url") == f"{tmp_path}/.lab/url"
    monkeypatch.setenv("LAB", "/elsewhere")
    assert expand("${LAB:-~/.lab}/url") == "/elsewhere/url"


def test_a_path_with_an_unset_variable_is_refused_and_not_shortened(monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(ConfigurationError, match="NOWHERE, which is not set"):
        expand("${NOWHERE}/token")


def test_an_address_may_be_referred_to_and_continued(monkeypatch):
    monkeypatch.setenv("PAYMENTS_URL", "http://payments:8080/")
    assert Model(address="env:PAYMENTS_URL + /health").address.resolve() == "http://payments:8080/health"


def test_a_kubeconfig_is_a_path_however_it_is_written(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBE", "/etc/kube/config")
    paths = {
        text: Model.model_validate({"path": text}, context={"base": tmp_path}).path.resolve()
        for text in ("config", "file:config", "env:KUBE")
    }
    assert paths == {"config": f"{tmp_path}/config", "file:config": f"{tmp_path}/config", "env:KUBE": "/etc/kube/config"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("env:MISSING_VARIABLE", "MISSING_VARIABLE, which is not set"),
        ("file:/no/such/file", "does not exist"),
        ("file:/", "cannot be read"),
    ],
)
def test_what_cannot_be_fetched_is_told_with_its_mend(text, message, monkeypatch):
    monkeypatch.delenv("MISSING_VARIABLE", raising=False)
    with pytest.raises(ConfigurationError, match=message):
        Reference(text).resolve()


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe\x00", b"x" * 100_000])
def test_a_file_that_is_empty_binary_or_huge_is_no_value(content, tmp_path):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"token, which (is|cannot be read)"):
        Reference(f"file:{tmp_path}/token").resolve()


@pytest.mark.parametrize("field", ["address", "token"])
@pytest.mark.parametrize(
    "secret",
    [
        "postgresql://orders:hunter2@db/orders",
        "postgresql://orders:p@ss:word@db/orders",
        "redis://:hunter2@cache:6379",
        "host=db user=orders password=hunter2",
        "postgresql://db/orders?user=orders&password=hunter2",
        "https://api.example.com/?api_key=hunter2",
        "ghp_" + "a" * 36,
        "glpat-" + "a" * 20,
        "AKIA" + "A" * 16,
        "Bearer " + "a" * 20,
        "https://hooks.slack.com/services/T000/B000/XXXXXXXX",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
    ],
)
def test_a_literal_secret_is_refused_and_never_repeated(field, secret):
    with pytest.raises(ValidationError) as refused:
        Model(**{field: secret})
    assert refused.value.errors()[0]["type"] == "literal_secret"
    assert "hunter2" not in refused.value.errors()[0]["msg"]


@given(st.text(min_size=1).filter(lambda text: text.strip() and not text.strip().startswith(("env:", "file:"))))
def test_a_token_is_never_a_literal(text):
    with pytest.raises(ValidationError):
        Model(token=text)


@pytest.mark.parametrize("text", ["http://prometheus:9090", "postgresql://orders@db:5432/orders", "host=db user=orders dbname=x"])
def test_an_address_without_a_secret_may_stand_in_the_file(text):
    assert Model(address=text).address.resolve() == text


@pytest.mark.parametrize("text", ["env:", "env:not a name", "file:", ""])
def test_half_a_reference_is_refused(text):
    with pytest.raises(ValidationError):
        Model(address=text)


def test_a_number_is_refused_without_being_shown():
    with pytest.raises(ValidationError) as refused:
        Model(token=4711)
    assert "4711" not in refused.value.errors()[0]["msg"]


def test_neither_text_nor_repr_nor_json_hold_the_value(monkeypatch):
    monkeypatch.setenv("ORDERS_TOKEN", "s3cret")
    model = Model(token="env:ORDERS_TOKEN")
    assert model.token.resolve() == "s3cret"
    assert "s3cret" not in f"{model} {model!r} {model.token} {model.token!r} {model.model_dump_json()}"
    assert model.model_dump() == {"address": None, "token": "env:ORDERS_TOKEN", "path": None}
