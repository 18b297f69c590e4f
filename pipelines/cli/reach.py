"""Whether the registry answers at all, asked before anything is built for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines import settings as setting
from pipelines.cli import options
from pipelines.errors import ShipwayError, Transient
from pipelines.model.reference import Reference
from pipelines.tools.credentials import Credentials
from pipelines.tools.registry import Registry
from pipelines.tools.registry_connection import Timing

_ATTEMPTS = 3
"""A registry that restarts is waited for by the step push; this is for one that is not there."""


def check(settings: Mapping[str, str], name: str) -> None:
    """Raise Transient where the registry does not answer; what else it says to the question, the step push will tell."""
    try:
        registry = Registry(
            Credentials.read(options.secret(dict(settings), "shipway-push")),
            plain_http=setting.names(settings.get("plain-http", "")),
            ca_file=Path(settings["ca-file"]) if settings.get("ca-file") else None,
            timing=Timing(attempts=_ATTEMPTS),
        )
        repository = "/".join(filter(None, (settings.get("project"), name)))
        registry.resolve(Reference(registry=settings["registry"], repository=repository, tag="latest"))
    except Transient:
        raise
    except ShipwayError:
        return
