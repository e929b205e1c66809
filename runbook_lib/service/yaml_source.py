"""YAML with line numbers: what a person needs to mend a file is the line, which a parsed mapping no longer knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from runbook_lib.errors import ConfigurationError

__all__ = ["YamlSource"]

Location = tuple[str | int, ...]


class YamlSource:
    """A YAML file as data, and as the tree of nodes that knows where each field stands.

    Raises ConfigurationError when the file cannot be read, is not YAML, or gives a key twice in one mapping, where YAML
    would silently keep the last.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        loader = yaml.SafeLoader(self._text())
        try:
            self._root = loader.get_single_node()
            repeated = [
                self.message(line, f"{key} is given twice; remove one of them") for key, line in _repeated_keys(self._root)
            ]
            if repeated:
                raise ConfigurationError("\n".join(repeated))
            self.data: Any = None if self._root is None else loader.construct_document(self._root)
        except yaml.MarkedYAMLError as error:
            raise ConfigurationError(self._not_yaml(error)) from None
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigurationError(f"{self.path}: is not YAML: {error}") from None
        finally:
            loader.dispose()

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ConfigurationError(f"{self.path}: there is no such file") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{self.path}: is not UTF-8 text") from None
        except OSError as error:
            raise ConfigurationError(f"{self.path}: cannot be read: {error.strerror}") from error

    def _not_yaml(self, error: yaml.MarkedYAMLError) -> str:
        # The mark's snippet is left out: it may quote a line with a secret in it.
        line = error.problem_mark.line + 1 if error.problem_mark else None
        return self.message(line, f"is not YAML: {error.problem or error.context}")

    def message(self, line: int | None, text: str) -> str:
        """Put the place in front of a sentence: `parameters/orders.prod.yaml, line 14: …`."""
        return f"{self.path}: {text}" if line is None else f"{self.path}, line {line}: {text}"

    def line_of(self, location: Location) -> int | None:
        """The line (from 1) of a field, or of the nearest thing around it that the file has. None for an empty file."""
        node, line = self._root, None if self._root is None else self._root.start_mark.line + 1
        for step in location:
            if isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if pair[0].value == str(step)), None)
                if pair is None:
                    break
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                break
        return line


def _repeated_keys(root: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """Every key that a mapping has for the second time, with its line. Anchors are visited once, however often they are used."""
    seen: set[int] = set()
    waiting = [root] if root is not None else []
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            keys: set[tuple[str, str]] = set()
            for key, value in node.value:
                waiting.append(value)
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if (key.tag, key.value) in keys:
                        yield key.value, key.start_mark.line + 1
                    keys.add((key.tag, key.value))
