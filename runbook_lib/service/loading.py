"""Reading a service file, and telling everything that is wrong with it at once: file, line, field, and the mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from runbook_lib.errors import ConfigurationError
from runbook_lib.folders import parameters_folder
from runbook_lib.service.models import Service
from runbook_lib.service.reference import Reference
from runbook_lib.service.secret_names import names_secret
from runbook_lib.service.secrets import holds_secret
from runbook_lib.service.yaml_source import Location, YamlSource

__all__ = ["TOP_LEVEL", "load_service", "service_file", "service_from"]

TOP_LEVEL = "service"
"""The one key of a service file, so that `papermill -f` injects one variable of this name."""

_SUFFIXES = (".yaml", ".yml")


def load_service(path: str | Path) -> Service:
    """Read a service file.

    Raises ConfigurationError with a line for each thing that is wrong: file, line, field, what was expected, what was
    found (never a secret), and what to write instead.
    """
    path = Path(path)
    source = YamlSource(path)
    data = source.data
    if not isinstance(data, Mapping) or TOP_LEVEL not in data:
        raise ConfigurationError(
            source.message(1, f"a service file has one top-level key `{TOP_LEVEL}:` with the fields below it")
        )
    others = sorted(str(key) for key in data if key != TOP_LEVEL)
    problems = [
        source.message(source.line_of((key,)), f"{key} is not known here; a service file has one top-level key `{TOP_LEVEL}:`")
        for key in others
    ]
    try:
        service = _validated(data[TOP_LEVEL], base=path.parent)
    except _ProblemsError as found:
        ordered = sorted(found.problems, key=lambda problem: source.line_of(problem[0]) or 0)
        problems += [source.message(source.line_of(location), text) for location, text in ordered]
    if problems:
        raise ConfigurationError("\n".join(problems))
    return service


def service_from(
    value: str | Path | Mapping[str, Any] | Service, environment: str | None = None, parameters: str | Path | None = None
) -> Service:
    """Find the service that somebody means.

    value: a name (with `environment`, looked up in the folder `parameters`), the path of a file, the mapping that papermill
    injects from a file, or a Service. Raises ConfigurationError, which lists the services there are when none fits.
    """
    if isinstance(value, Service):
        return value
    if isinstance(value, Mapping):
        return _from_mapping(value, parameters)
    path = service_file(value, environment, parameters)
    service = load_service(path)
    if path.name.removesuffix(path.suffix) == f"{value}.{environment}" != f"{service.name}.{service.environment}":
        raise ConfigurationError(
            f"{path}: the file's name says {value} in {environment}, its content {service.name} in {service.environment}; "
            "make them agree"
        )
    return service


def service_file(value: str | Path, environment: str | None = None, parameters: str | Path | None = None) -> Path:
    """Find the file of a service by its name and environment, or take the path as it is. Raises as service_from does."""
    text = str(value).strip()
    if not text:
        raise ConfigurationError("no service is given; name one (orders) or a service file (parameters/orders.prod.yaml)")
    if isinstance(value, Path) or text.endswith(_SUFFIXES) or "/" in text:
        return Path(text).expanduser()
    return _file_of(text, environment or None, parameters_folder(parameters))


def _from_mapping(value: Mapping[str, Any], parameters: str | Path | None) -> Service:
    fields = value[TOP_LEVEL] if set(value) == {TOP_LEVEL} else value
    try:
        return _validated(fields, base=parameters_folder(parameters))
    except _ProblemsError as found:
        raise ConfigurationError("\n".join(f"parameter service: {text}" for _, text in found.problems)) from None


def _file_of(name: str, environment: str | None, folder: Path) -> Path:
    files = _service_files(folder, name)
    if environment is None:
        if len(files) == 1:
            return next(iter(files.values()))
        mend = f"choose an environment: {', '.join(sorted(files))}" if files else _known(folder)
        raise ConfigurationError(f"no service {name} without an environment in {folder}; {mend}")
    if environment not in files:
        mend = f"it exists for {', '.join(sorted(files))}" if files else _known(folder)
        raise ConfigurationError(f"{folder / f'{name}.{environment}.yaml'}: there is no such file; {mend}")
    return files[environment]


def _service_files(folder: Path, name: str) -> dict[str, Path]:
    """The files of a service by environment."""
    return {path.stem[len(name) + 1 :]: path for suffix in _SUFFIXES for path in folder.glob(f"{name}.*{suffix}")}


def _known(folder: Path) -> str:
    if not folder.is_dir():
        return "that folder does not exist; point at yours with --parameters or RUNBOOK_PARAMETERS"
    names = sorted({path.name.rsplit(".", 1)[0] for suffix in _SUFFIXES for path in folder.glob(f"*.*{suffix}")})
    return f"the folder has {', '.join(names)}" if names else "the folder has no service files"


class _ProblemsError(Exception):
    """What is wrong, each with its location below the top level."""

    def __init__(self, problems: list[tuple[Location, str]]) -> None:
        super().__init__()
        self.problems = problems


def _validated(fields: Any, *, base: Path) -> Service:
    if not isinstance(fields, Mapping):
        raise _ProblemsError([((TOP_LEVEL,), f"{TOP_LEVEL} must be a mapping of fields; found {type(fields).__name__}")])
    problems: dict[Location, str] = {}
    service = None
    try:
        service = Service.model_validate(dict(fields), context={"base": base})
    except ValidationError as error:
        for details in error.errors(include_url=False):
            location = (TOP_LEVEL, *details["loc"])
            problems.setdefault(location, _sentence(location, details, fields))
    for location, text in _literal_secrets(fields, (TOP_LEVEL,)):
        problems.setdefault(location, text)
    if problems or service is None:
        raise _ProblemsError(list(problems.items()))
    return service


def _sentence(location: Location, details: ErrorDetails, fields: Mapping[str, Any]) -> str:
    field = _dotted(location)
    kind = details["type"]
    if kind == "missing":
        return f"{field} is missing; it is required"
    if kind == "extra_forbidden":
        return f"{field} is not known{_suggestion(location)}"
    if kind == "literal_secret":
        return _literal_secret(location, details.get("ctx", {})["found"], fields)
    message = details["msg"].removeprefix("Value error, ")
    if message.startswith(("must ", "is ", "names ")):
        return f"{field} {message}"
    return f"{field}: {message[:1].lower()}{message[1:]}{_found(location, details['input'])}"


def _dotted(location: Location) -> str:
    """Write a location as a person would: `service.dependencies.downstream[0].name`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).lstrip(".")


def _literal_secret(location: Location, found: str, fields: Mapping[str, Any]) -> str:
    """Name the variable that would hold it: for service.connections.postgres.dsn of orders, ORDERS_DSN."""
    last = next((step for step in reversed(location) if isinstance(step, str)), "value")
    variable = f"{fields.get('name') or 'SERVICE'}_{last}".upper().replace("-", "_").replace(".", "_")
    return f"{_dotted(location)} must be a reference such as env:{variable}; found {found}"


def _found(location: Location, value: Any) -> str:
    """Show the value that was found when it is short and cannot be a secret."""
    secret = any(isinstance(step, str) and names_secret(step) for step in location)
    if secret or not isinstance(value, str | int | float | bool) or len(str(value)) > 60 or holds_secret(str(value)):
        return ""
    return f"; found {value!r}"


def _suggestion(location: Location) -> str:
    known = sorted(_fields_at(location[1:-1]))
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(known)}" if known else ""


def _fields_at(location: Location) -> set[str]:
    """The names of the fields of the model at a location below the top level."""
    model: Any = Service
    for step in location:
        models = (
            _models_in(model.model_fields[step].annotation) if isinstance(step, str) and step in model.model_fields else [model]
        )
        model = next(iter(models), model)
    return set(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field's annotation speaks of: of `tuple[Downstream, ...]`, Downstream."""
    if get_origin(annotation) in (Annotated, Union, UnionType, tuple, dict, list):
        return [model for argument in get_args(annotation) for model in _models_in(argument)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _literal_secrets(value: Any, location: Location) -> Iterator[tuple[Location, str]]:
    """Secrets anywhere in the file, also in fields that are only shown, such as a dashboard's link."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _literal_secrets(below, (*location, str(key)))
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from _literal_secrets(below, (*location, index))
    elif isinstance(value, str) and Reference(value).is_literal:
        named = isinstance(location[-1], str) and names_secret(location[-1], value) and value
        found = holds_secret(value) or ("a literal value" if named else None)
        if found:
            yield location, f"{_dotted(location)} must be a reference such as env:NAME, or be left out; found {found}"
