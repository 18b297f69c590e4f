"""How settings and a folder of logins become a connection to registries."""

from __future__ import annotations

from pathlib import Path

from pipelines import settings
from pipelines.tools.credentials import Credentials
from pipelines.tools.registry import Registry
from pipelines.tools.registry_connection import Timing


def connect(
    docker_config: Path, *, plain_http: str, ca_file: str, mirrors: str = "", timing: Timing | None = None
) -> Registry:
    """Return a client that uses the logins of a folder; nothing is asked yet.

    The texts are the settings of these names. Raises Misconfigured for a login or a list that cannot be read.
    """
    return Registry(
        Credentials.read(docker_config),
        plain_http=settings.names(plain_http),
        mirrors=settings.pairs(mirrors),
        ca_file=Path(ca_file) if ca_file else None,
        timing=timing,
    )
