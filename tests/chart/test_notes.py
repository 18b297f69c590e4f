"""What Helm tells whoever has installed the chart."""

from __future__ import annotations

import json
from typing import Any

from tests.chart.rendering import CHART, helm
from tests.chart.test_events import ALL, GITHUB


def notes(**values: Any) -> str:
    """Return the notes of an installation in the namespace `ci`, where no Secret is found."""
    words = ["install", "shipway", str(CHART), "--namespace", "ci", "--dry-run=client", "--values", "-"]
    done = helm(*words, given=json.dumps({"settings": {"registry": "registry.example.com"}, **values}))
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\nNOTES:\n")[2]


def test_the_address_of_each_hook_is_said() -> None:
    """Of the forges that are watched and of requests by hand, each with the key that it is signed with."""
    told = notes(events=ALL)
    base = "http://shipway-webhooks-eventsource-svc.ci.svc"
    assert f"gitea: {base}:12000/gitea, signed with the key gitea of the Secret shipway-webhooks\n" in told
    assert f"github: {base}:12000/github, signed with the key github of the Secret shipway-webhooks\n" in told
    assert f"gitlab: {base}:12001/gitlab; Argo Events makes the hooks, for {ALL['gitlab']['webhookUrl']}\n" in told
    assert f"by hand: {base}:12002/runs, with the key manual as a bearer token\n" in told
    few = notes(events={"enabled": True, "repositories": [GITHUB]})
    assert [word for word in ("/github", "/gitea", "/gitlab", "/runs") if word in few] == ["/github"]
    assert "eventsource-svc" not in notes()


def test_the_secrets_that_are_missing_are_named() -> None:
    """Each with what it is for; those that nothing asks for are not."""

    def named(**values: Any) -> set[str]:
        lines = notes(**values).partition("These Secrets are missing")[2].splitlines()
        return {line.partition(":")[0].strip() for line in lines if line.startswith("  shipway-")}

    always = {f"shipway-{name}" for name in ("check-pull", "forge", "git", "git-write", "pull", "push")}
    assert named() == always
    secrets = {"npm": ["https://git.example.com/team/shop.git"]}
    assert named(events=ALL, buildSecrets=secrets) == always | {"shipway-webhooks", "shipway-build-secrets"}
    assert "keys gitea, github, gitlab, gitlab-access, manual" in notes(events=ALL)
