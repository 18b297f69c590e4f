"""Whether the registry answers at all, asked before anything is built for it."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.cli import options
from pipelines.errors import ShipwayError, Transient
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.connection import Timing
from pipelines.tools.registry.reference import Reference

_ATTEMPTS = 3
"""A registry that restarts is waited for by the step push; this is for one that is not there."""


def check(settings: Mapping[str, str], name: str) -> None:
    """Raise Transient where the registry does not answer; what else it says to the question, the step push will tell."""
    try:
        registry = registry_client.connect(
            options.secret(dict(settings), "shipway-push"),
            plain_http=settings.get("plain-http", ""),
            ca_file=settings.get("ca-file", ""),
            timing=Timing(attempts=_ATTEMPTS),
        )
        registry.resolve(Reference.under(settings["registry"], settings.get("project", ""), name, tag="latest"))
    except Transient:
        raise
    except ShipwayError:
        return
