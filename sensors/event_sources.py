"""The event sources: a pod for webhooks and one for the calendar, since Argo rolls the two out differently.

Argo Events writes some fields back, empty or with their default. They are written here already: a field that it has
written is its own, and an upgrade by Helm 4, which applies on the server's side, would conflict with it.
"""

from __future__ import annotations

from typing import Any

from hera.events import models as m
from hera.events.models.io.k8s.api.core import v1 as core
from hera.events.models.io.k8s.apimachinery.pkg.util.intstr import IntOrString

from pipelines.events.event import Sender
from sensors import event_bus, manifest, payloads, pods

WEBHOOKS = "shipway-webhooks"
CALENDAR = "shipway-calendar"
SECRET = "shipway-webhooks"  # noqa: S105 - the Secret's name
PORTS = {"webhooks": 12000, "gitlab": 12001, "manual": 12002}
"""Each kind of source has a server of its own. If two have one port, one of them fails, and Argo only logs that."""
SCHEDULE = "0 3 * * *"


def secret(key: str) -> core.SecretKeySelector:
    """Return a key of the Secret that webhooks are signed with."""
    return core.SecretKeySelector(name=SECRET, key=key)


def webhook(port: str, path: str, **more: Any) -> m.WebhookContext:
    """Return the address that a source listens on."""
    return m.WebhookContext(endpoint=path, port=str(PORTS[port]), method="POST", **{"url": "", **more})


def webhooks() -> dict[str, Any]:
    """Return the source for forges, and for manual runs with the bearer token.

    The chart removes what is not enabled, and names the repositories. Gitea and Forgejo sign as GitHub does and also
    send GitHub's headers. Argo compares GitLab's token only if it creates the hooks itself: with `accessToken` and
    `webhook.url`.
    """
    spec = m.EventSourceSpec(
        event_bus_name=event_bus.NAME,
        service=m.Service(ports=[_service_port(name, port) for name, port in PORTS.items()]),
        template=pods.template(account=WEBHOOKS, component=WEBHOOKS),
        github={
            str(source): m.GithubEventSource(
                webhook=webhook("webhooks", f"/{source}"),
                events=["push", "pull_request", "issue_comment"],
                repositories=[],
                owner="",
                repository="",
                webhook_secret=secret(source),
                content_type="json",
                active=True,
            )
            for source in (Sender.GITHUB, Sender.GITEA)
        },
        gitlab={
            str(Sender.GITLAB): m.GitlabEventSource(
                webhook=webhook("gitlab", "/gitlab", url="https://set-by-the-chart.invalid"),
                events=["PushEvents", "TagPushEvents", "MergeRequestsEvents", "NoteEvents"],
                projects=[],
                gitlab_base_url="https://gitlab.com",
                enable_ssl_verification=True,
                secret_token=secret("gitlab"),
                access_token=secret("gitlab-access"),
            )
        },
        webhook={
            payloads.MANUAL.name: m.WebhookEventSource(
                webhook_context=webhook("manual", "/runs", auth_secret=secret("manual"), max_payload_size="65536")
            )
        },
    )
    document = manifest.document("EventSource", WEBHOOKS, spec)
    # Numbers in Argo, texts in Hera.
    context = document["spec"]["webhook"][payloads.MANUAL.name]
    context["maxPayloadSize"] = int(context["maxPayloadSize"])
    for source in document["spec"]["github"].values():
        source["id"] = 0
    return document


def _service_port(name: str, port: int) -> core.ServicePort:
    return core.ServicePort(name=name, port=port, target_port=IntOrString(root=port))


def calendar() -> dict[str, Any]:
    """Return the calendar; the chart writes one entry for each repository, with its address and branch."""
    spec = m.EventSourceSpec(
        event_bus_name=event_bus.NAME,
        template=pods.template(account=WEBHOOKS, component=CALENDAR),
        calendar={
            payloads.NIGHTLY.name: m.CalendarEventSource(
                schedule=SCHEDULE, interval="", timezone="UTC", metadata={"repo": "", "ref": ""}
            )
        },
    )
    return manifest.document("EventSource", CALENDAR, spec)
