"""The bus between the event sources and the Sensor."""

from __future__ import annotations

from typing import Any

from sensors import manifest, pods

NAME = "shipway"
ACCOUNT = "shipway-webhooks"
"""Has no right and no token, as what listens to forges."""
MAX_PAYLOAD = "8MB"
# NATS acknowledges before it has written to the disk, every two minutes by default (jepsen.io/analyses/nats-2.12.1).
SETTINGS = "max_memory_store: -1\nmax_file_store: -1\nsync_interval: always\n"


def event_bus() -> dict[str, Any]:
    """Return a JetStream bus of three servers, which write an event to disk before they acknowledge it.

    A body of GitHub's grows on its way, since `<`, `>` and `&` are written as six characters: what a message may hold
    is more than the 1 MiB that an event source takes. The chart can put a bus of the cluster's own in its place.
    """
    # Argo Events writes `resources` back with each object: left out, the field would be another's than Helm's.
    container = {"resources": {}, "securityContext": manifest.plain(pods.container_security())}
    return manifest.document(
        "EventBus",
        NAME,
        {
            "jetstream": {
                "version": "latest",
                "replicas": 3,
                "serviceAccountName": ACCOUNT,
                "securityContext": manifest.plain(pods.pod_security()),
                "containerTemplate": container,
                "reloaderContainerTemplate": container,
                "metricsContainerTemplate": container,
                "maxPayload": MAX_PAYLOAD,
                "settings": SETTINGS,
                "persistence": {"volumeSize": "5Gi", "accessMode": "ReadWriteOnce"},
            }
        },
    )
