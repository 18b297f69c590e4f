"""Connects a repository's address to its forge: the settings name the kind, and a mounted Secret holds the login.

The setting `forges` maps hosts to kinds: `github.com=github,git.example.com=gitea`. A host is written as in the
repository's address, with its port if it has one. If the API is elsewhere, its address follows a `+`:
`code.example.com=github+https://code.example.com/api/v3`.

The folder has files for each host, with `_` for a `:`: `git.example.com.token`, or for a GitHub App
`github.com.app-id` and `github.com.private-key`. A host's login is sent to that host's API alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pipelines import settings
from pipelines.errors import Misconfigured
from pipelines.step.groups import NetworkSettings
from pipelines.tools.forge.forge import GITHUB_HEADERS, Forge, Gitea, GitHub
from pipelines.tools.forge.http import TIMING, ForgeApi
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.registry.connection import Network, Timing

FORGES = "github.com=github"
"""Default of the setting."""
REPORTING = {"metadata": "read", "statuses": "write", "pull_requests": "write"}
"""The rights of a GitHub App's token that reports."""
PROPOSING = {"metadata": "read", "contents": "read", "pull_requests": "write"}
"""The rights of one that opens pull requests."""


class NoForge(Misconfigured):
    """The settings do not say which forge a repository is at, or there is no login for it."""


@dataclass(frozen=True, kw_only=True)
class _ForgeAddress:
    kind: str
    base: str
    """Address of the API, without a slash at its end."""
    web: str
    """Address of the repository's page."""
    repository: str
    """Owner and name, `team/shop`."""


def connect(
    repo: RepositoryUrl,
    folder: Path,
    *,
    forges: str,
    network: NetworkSettings,
    rights: Mapping[str, str] = REPORTING,
    timing: Timing = TIMING,
) -> Forge:
    """Return the forge of a repository with the login in a folder; no request is sent yet.

    `forges` is the setting of this name. Raises NoForge if it does not name the repository's host or the folder has no
    login for it, Misconfigured if either cannot be read.
    """
    plain_http = settings.names(network.plain_http)
    connections = Network(plain_http=plain_http, ca_file=network.authorities, timing=timing)
    address = _address(repo, forges)
    connections.check(address.base, f"the API of {address.web}")
    login = _LoginFolder(folder=folder, host=_host(repo))
    token = login.read("token")
    if token:
        is_github = address.kind == "github"
        scheme = "Bearer" if is_github else "token"
        api = ForgeApi(
            network=connections,
            base=address.base,
            repository=address.repository,
            authorization=lambda: f"{scheme} {token}",
            login=f"the token in {login.path('token')}",
            headers=GITHUB_HEADERS if is_github else {},
        )
        return GitHub(api, web=address.web) if is_github else Gitea(api, web=address.web)
    identity = login.read("app-id")
    if address.kind == "github" and identity:
        return _as_app(connections, address, login, identity, rights)
    raise NoForge(
        f"no login for {_host(repo)}",
        seen=f"{folder} has no {login.path('token').name}",
        todo="put a token into the Secret `shipway-forge`; see docs/reports.md",
    )


def _as_app(
    network: Network, address: _ForgeAddress, login: _LoginFolder, identity: str, rights: Mapping[str, str]
) -> GitHub:
    from pipelines.tools.forge.github_app import App, AppTokens  # noqa: PLC0415 - loads cryptography

    app = App(id=identity, private_key=login.read("private-key"))
    tokens = AppTokens(network, app, base=address.base, repository=address.repository, rights=rights)
    api = ForgeApi(
        network=network,
        base=address.base,
        repository=address.repository,
        authorization=tokens.authorization,
        login=f"a token of App {identity}",
        headers=GITHUB_HEADERS,
    )
    return GitHub(api, web=address.web, app=tokens.name)


@dataclass(frozen=True, kw_only=True)
class _LoginFolder:
    folder: Path
    host: str

    def path(self, what: str) -> Path:
        return self.folder / f"{self.host.replace(':', '_')}.{what}"

    def read(self, what: str) -> str:
        """Return a file's text, empty if there is no file; raises Misconfigured, which never shows the text."""
        try:
            text = self.path(what).read_text(encoding="ascii").strip()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except (OSError, UnicodeError) as error:
            seen = error.strerror or "" if isinstance(error, OSError) else "it is not ASCII text"
            raise Misconfigured(f"{self.path(what)} cannot be read", seen=seen, todo="see docs/reports.md") from None
        if what != "private-key" and any(character.isspace() for character in text):
            raise Misconfigured(f"{self.path(what)} is no {what}", seen="it has blanks", todo="write one word")
        return text


def _host(repo: RepositoryUrl) -> str:
    return urlsplit(repo.origin).netloc.lower()


def _address(repo: RepositoryUrl, forges: str) -> _ForgeAddress:
    host = _host(repo)
    kind, _, api = settings.pairs(forges or FORGES).get(host, "").partition("+")
    if not host or not kind:
        raise NoForge(
            f"no forge is known for {repo}",
            seen=f"forges: {forges or FORGES}",
            todo=f"add {host or 'its host'}=github or =gitea to the setting `forges`",
        )
    if kind not in {"github", "gitea"}:
        raise Misconfigured(
            f"the setting `forges` has an invalid kind for {host}", seen=repr(kind), todo="write github or gitea"
        )
    *above, owner, name = ["", "", *repo.path.removesuffix(".git").split("/")]
    if not owner or (above[2:] and kind == "github"):
        raise NoForge(f"{repo} is not a repository of a forge", seen=repo.path, todo="its path is OWNER/NAME")
    # The port of an ssh address is ssh's; the pages and the API use the host's default port. Gitea may be below a path.
    over_http = repo.scheme in {"https", "http"}
    web = f"{repo.scheme}://{host}" if over_http else f"https://{urlsplit(repo.origin).hostname}"
    web = "/".join((web, *above[2:]))
    if kind == "github":
        default = "https://api.github.com" if host == "github.com" else f"{web}/api/v3"
    else:
        default = f"{web}/api/v1"
    base = (api or default).rstrip("/")
    try:
        parts = urlsplit(base)
    except ValueError:  # unbalanced brackets
        parts = urlsplit("")
    if parts.scheme not in {"https", "http"} or not parts.netloc or "@" in parts.netloc or parts.query:
        raise Misconfigured(
            f"the setting `forges` has no address of an API for {host}", seen=repr(api), todo="write https://…"
        )
    if api:
        web = base.removesuffix("/api/v3").removesuffix("/api/v1")
    return _ForgeAddress(kind=kind, base=base, web=f"{web}/{owner}/{name}", repository=f"{owner}/{name}")
