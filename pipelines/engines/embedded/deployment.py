"""The embedded deployment, which a machine without settings uses."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from pipelines.engines.embedded import base_image, example
from pipelines.engines.embedded.registry import EmbeddedRegistry
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Reference

BASE = "busybox:static"
BASE_HOST = "shipway.local"
"""The name under which Dockerfiles of the examples ask for the base; no such host exists."""


def registry(state: Path) -> EmbeddedRegistry:
    """Return the registry whose data is kept in a state folder."""
    return EmbeddedRegistry(state / "registry")


def clean(state: Path) -> None:
    """Stop the registry and remove the files of runs on this machine; the folders of Secrets and unknown files stay."""
    registry(state).clean()
    for name in ("cache", "runs", "examples.git"):
        shutil.rmtree(state / name, ignore_errors=True)
    with contextlib.suppress(OSError):  # it does not exist, or holds other files
        state.rmdir()


def settings(state: Path) -> dict[str, str]:
    """Start the registry if it does not run, and return settings that use it."""
    address = registry(state).start()
    return {
        "registry": address,
        "project": "shipway",
        "plain-http": address,
        "mirrors": f"{BASE_HOST}={address}",
        "cache": str((state / "cache").resolve()),
        "secrets": str((state / "secrets").resolve()),
    }


def publish_base(address: str) -> None:
    """Push the base image of the examples, unless the registry has it."""
    client = Registry(Credentials(), plain_http=frozenset({address}))
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout.create(Path(folder))
        descriptor = base_image.write(layout, base_image.find_busybox())
        to = Reference.parse(f"{address}/{BASE}")
        present = client.resolve(to)
        if present is None or present.descriptor.digest != descriptor.digest:
            client.push(layout, descriptor, to)
            client.tag(to.with_digest(descriptor.digest), to.tag)


def publish_examples(state: Path, examples: Path) -> str:
    """Update the example repository to the folder's content and return its path."""
    repository = (state / "examples.git").resolve()
    example.publish(examples.resolve(), repository)
    return str(repository)
