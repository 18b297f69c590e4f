"""What the steps about charts make of their settings: the registry that charts live in, and where dependencies come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines import settings
from pipelines.errors import Misconfigured, Misuse
from pipelines.steps.chart_repository import ChartRepositories
from pipelines.steps.chart_states import ChartRegistry
from pipelines.tools.registry import client as registry_client
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import Layout


@dataclass(frozen=True, kw_only=True)
class ChartSettings:
    """The settings about charts, as texts."""

    registry: str
    project: str
    chart_registry: str
    chart_hosts: str
    plain_http: str
    ca_file: str

    @property
    def address(self) -> str:
        """Host and path that charts are published under; raises Misconfigured where there is none."""
        text = self.chart_registry.removeprefix("oci://").strip("/")
        if not text and self.registry:
            text = "/".join(filter(None, (self.registry, self.project.strip("/"), "charts")))
        if not text:
            raise Misconfigured(
                "no registry for charts",
                seen="the settings `chart-registry` and `registry` are empty",
                todo="set one of them, or give --chart-registry",
            )
        return text

    def connect(self, layout: Layout, docker_config: Path) -> tuple[ChartRegistry, ChartRepositories]:
        """Return the registry that charts live in and the places of their dependencies, with the logins of a folder."""
        credentials = Credentials.read(docker_config)
        plain_http = settings.names(self.plain_http)
        ca_file = Path(self.ca_file) if self.ca_file else None
        client = registry_client.connect(docker_config, plain_http=self.plain_http, ca_file=self.ca_file)
        registry = ChartRegistry(client=client, address=self.address, layout=layout)
        try:
            host = registry.reference("x").registry
        except Misuse as error:
            raise Misconfigured(
                "the charts' registry has no valid address", seen=repr(self.address), todo="write host/path, no scheme"
            ) from error
        repositories = ChartRepositories(
            client,
            layout,
            credentials,
            hosts=settings.names(self.chart_hosts) | {host},
            plain_http=plain_http,
            ca_file=ca_file,
        )
        return registry, repositories
