"""What a deployment decides: its registry, its builder, its mirrors.

On a cluster the values live in the ConfigMap `shipway`; on a laptop the same keys come from a YAML file. Either
way each reaches a step as the environment variable SHIPWAY_<KEY>, in capitals and with _ for -.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.errors import Misconfigured, meant, reason

KEYS: Mapping[str, str] = {
    "registry": "address of the registry that images are pushed to, host or host:port",
    "project": "path in the registry under which the images live; may be empty",
    "chart-registry": (
        "address and path of the registry that charts are pushed to; default: registry and project, then /charts"
    ),
    "chart-hosts": "hosts that charts' dependencies are fetched from, host or host:port, separated by commas",
    "chart-collections": (
        "addresses of repositories whose good charts are released although others of theirs have errors, separated by "
        "commas, or any; default: none"
    ),
    "shared-names": (
        "names of images and charts that several repositories may publish under, separated by commas, or any; "
        "default: none"
    ),
    "kubernetes-schemas": (
        "folder of Kubernetes' JSON schemas that charts are checked against, as kubeconform keeps them"
    ),
    "kubernetes-version": "version of Kubernetes that charts are rendered for; default: that of Helm",
    "plain-http": "registries spoken to without TLS, separated by commas",
    "mirrors": "registries asked in place of others, as other=mirror, separated by commas",
    "ca-file": "certificate authorities trusted beside the system's, as a PEM file",
    "builder": "buildah or buildkit",
    "buildkit-host": (
        "address of a running buildkitd, or one for each platform: linux/amd64=ADDRESS,linux/arm64=ADDRESS; without "
        "one, one is started for each build"
    ),
    "build-secrets": (
        "which repositories may read which build secrets: any, none, or id=repository, separated by "
        "commas; default: any"
    ),
    "platforms": (
        "platforms that images are built for, such as linux/amd64,linux/arm64, where shipway.yaml declares none; "
        "default: that of the machine that plans"
    ),
    "native-platforms": (
        "platforms whose builds run on nodes or builders of their own, separated by commas; default: that of the "
        "machine that plans"
    ),
    "isolation": "of RUN steps: sandbox, or chroot, which is accepted where no sandbox works; default: sandbox",
    "compression": "of new layers: zstd or gzip",
    "cache": "folder that builders keep their layers in between runs",
    "repositories": (
        "addresses of the repositories whose events are heard, separated by commas; default: all "
        "whose webhooks are signed"
    ),
    "protected-branches": (
        "branches that may publish, separated by commas; * is anything but a slash, ** anything; default: main,master"
    ),
    "protected-tags": "tags that may publish, written like branches; default: v*",
    "max-age": (
        "age of images that the nightly run builds again, where shipway.yaml gives none: 12h, 7d, 4w; default: 7d"
    ),
    "reconcile-days": (
        "age in days up to which the nightly run looks at protected tags that are published, too; default: 7"
    ),
    "maintainers": (
        "login names of those who may approve strangers' pull requests, separated by commas, for forges that do not say"
    ),
    "branch-checks": (
        "which event checks a commit of a branch that may not publish: pull-request, or push; default: pull-request"
    ),
    "skip-ci": (
        "where [skip ci] in a commit's message is honoured: branches, with pull requests, or never; default: branches"
    ),
    "forges": (
        "kinds of the forges that runs report to, as host=github or host=gitea, separated by commas; "
        "default: github.com=github"
    ),
    "environments": "address of the environments repository, which deployments write to and Argo CD applies",
    "environments-branch": "branch of it; default: its default branch",
    "impact": (
        "whether checks of pull requests show what they change in environments: none, or everybody; default: none"
    ),
    "argo-cd-namespace": "namespace of Argo CD's applications; default: argocd",
    "deploy-author": "who deployments' commits are by: Name <address>",
    "argo-ui": "address of the Argo UI, for the links that are printed: https://argo.example.com",
    "secrets": "local runs only: folder with a folder for each Secret, a file for each of its keys",
}
"""Every key there is, with its meaning."""
REGISTRY_FLAG = "in place of the settings' registry, project and chart-registry"
"""What `--registry HOST[/PROJECT]` says, in every command."""
PATHS = ("kubernetes-schemas", "ca-file", "cache", "secrets")
"""Keys whose values are files or folders."""


def read(path: Path) -> dict[str, str]:
    """Return the settings of a YAML file, a flat map of known keys to text; raises Misconfigured."""
    import yaml  # noqa: PLC0415 - steps get their settings by environment, and are started often

    try:
        # Every value is the text that is written: a date, a version or a number means nothing else here.
        text = path.read_text(encoding="utf-8")
        value = yaml.load(text, Loader=yaml.BaseLoader) or {}  # noqa: S506 - it makes text alone
    except (OSError, UnicodeError, RecursionError, yaml.YAMLError) as error:
        raise Misconfigured(
            f"the settings {path} cannot be read", seen=reason(error), todo="name a file of `key: value` lines"
        ) from error
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise Misconfigured(
            f"the settings {path} are not a flat map", seen=str(value)[:200], todo="write `key: value` lines"
        )
    if unknown := sorted(set(map(str, value)) - set(KEYS)):
        raise Misconfigured(
            f"the settings {path} have unknown keys",
            seen=", ".join(unknown),
            todo=meant(unknown, KEYS, f"use {', '.join(KEYS)}"),
        )
    return {str(key): item for key, item in value.items()}


def at_registry(settings: Mapping[str, str], address: str) -> dict[str, str]:
    """Return settings whose images and charts are where `--registry` says, HOST or HOST/PROJECT."""
    host, _, project = address.partition("/")
    others = {key: value for key, value in settings.items() if key != "chart-registry"}
    return others | {"registry": host, "project": project}


def pairs(text: str) -> dict[str, str]:
    """Return `a=b,c=d` as a map; raises Misconfigured."""
    found = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = item.partition("=")
        if not (key and equals and value):
            raise Misconfigured(
                "a setting is not a list of name=value", seen=repr(item), todo="separate them by commas"
            )
        found[key] = value
    return found


def names(text: str) -> frozenset[str]:
    """Return `a,b` as a set."""
    return frozenset(filter(None, (part.strip() for part in text.split(","))))
