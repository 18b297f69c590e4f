"""The pull requests of deployments: an environments repository at a forge, and what its branches propose."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.deployments import World, world
from tests.forge_server import ForgeServer


@dataclass
class EnvironmentsForge:
    """A forge, and the settings with which deployments reach it."""

    state: ForgeServer
    settings: dict[str, str]

    def world(self, folder: Path, registry: str, **deploy: object) -> World:
        """Return a world whose environments repository is at this forge."""
        found = world(folder, registry, deploy=deploy)
        found.settings = {**self.settings, "plain_http": f"{registry},{self.settings['plain_http']}"}
        return found

    @property
    def open(self) -> list[int]:
        """The numbers of the open pull requests."""
        return [pull["number"] for pull in self.state.pulls if pull["state"] == "open"]


def proposed(shop: World) -> str:
    """Return the branch that deployments propose with; empty if there is none."""
    return shop.environments.git("for-each-ref", "--format=%(refname:short)", "refs/heads/shipway")


def changed(shop: World, branch: str) -> list[str]:
    """Return the files that a pull request of a branch shows."""
    return shop.environments.git("diff", "--name-only", f"main...{branch}").splitlines()


def with_api(shop: World, environment: str) -> str:
    """Give the world a second image, which pull requests of an environment follow, and return its address."""
    images = {".": {"name": "web"}, "api": {"name": "api"}}
    configuration = {"images": images, "deploy": {"environments": {environment: "pull-request"}}}
    files = {"api/Dockerfile": "FROM scratch\nCOPY x /\n", "api/x": "1", "shipway.yaml": json.dumps(configuration)}
    shop.shop.commit(files)
    return f"{shop.registry}/team/api"
