"""JSON schemas of Kubernetes' objects in a folder, in the layouts that kubeconform's users keep them in.

`deployment-apps-v1.json`, or for definitions of others `<group>/<kind>_<version>.json`. Nothing is fetched.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.bounds import read_json
from pipelines.errors import Misconfigured


@dataclass(frozen=True, kw_only=True)
class Violation:
    """Something that an object's schema does not allow."""

    path: tuple[str | int, ...]
    text: str


class KubernetesSchemas:
    """A folder of schemas, each read once."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; raises Misconfigured if it does not exist."""
        if not folder.is_dir():
            raise Misconfigured(
                "there is no folder of Kubernetes' schemas",
                seen=str(folder),
                todo="correct the setting kubernetes-schemas, or leave it empty",
            )
        self._folder = folder
        self._validators: dict[Path, Any] = {}

    def check(self, value: Mapping[str, Any]) -> list[Violation] | None:
        """Return what is wrong with an object, nothing where it is fine, None where there is no schema for it.

        Raises Misconfigured for a schema that cannot be used.
        """
        kind = str(value["kind"])
        validator = self._validator(str(value["apiVersion"]), kind)
        if validator is None:
            return None
        return [
            Violation(path=tuple(error.absolute_path), text=_short(error.message))
            for error in sorted(
                self._errors(validator, kind, _json(value)), key=lambda error: [str(p) for p in error.absolute_path]
            )
        ]

    def _errors(self, validator: Any, kind: str, value: Any) -> list[Any]:
        from referencing.exceptions import Unresolvable  # noqa: PLC0415 - as below

        try:
            return list(validator.iter_errors(value))
        except Unresolvable as error:
            raise Misconfigured(
                f"the schema of {kind} in {self._folder} needs another file",
                seen=f"it refers to {error.ref}",
                todo="take the standalone schemas: the folders of kubernetes-json-schema that end in -standalone",
            ) from error
        except re.error as error:
            raise Misconfigured(
                f"the schema of {kind} in {self._folder} has a pattern that cannot be used",
                seen=str(error),
                todo="correct the pattern, or remove the schema",
            ) from error

    def _validator(self, api_version: str, kind: str) -> Any:
        group, _, version = api_version.rpartition("/")
        short = f"{group.split('.')[0]}-" if group else ""
        names = (f"{kind}-{short}{version}.json".lower(), f"{group}/{kind.lower()}_{version}.json")
        for name in names:
            path = self._folder / name
            # An object's own words make up the name: it must not lead out of the folder.
            if ".." not in name and path not in self._validators and _is_file(path):
                self._validators[path] = _read(path)
            if path in self._validators:
                return self._validators[path]
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def _read(path: Path) -> Any:
    import jsonschema  # noqa: PLC0415 - takes a tenth of a second, and only where there are schemas
    import referencing  # noqa: PLC0415 - comes with it

    try:
        schema = read_json(path.read_bytes(), str(path))
        # An empty registry keeps references from being fetched.
        return jsonschema.Draft202012Validator(schema, registry=referencing.Registry())
    except (OSError, ValueError) as error:
        raise Misconfigured(f"the schema {path} cannot be read", seen=str(error)[:300], todo="replace it") from error


def _json(value: Any) -> Any:
    """Return a value as JSON has it: keys are texts."""
    if isinstance(value, Mapping):
        return {_key(key): _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _short(text: str) -> str:
    return text if len(text) <= 300 else text[:299] + "…"
