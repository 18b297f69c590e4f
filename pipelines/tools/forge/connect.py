"""From a repository's address to its forge: which kind it is the settings say, and a mounted Secret holds the login.

The setting `forges` maps hosts to kinds: `github.com=github,git.example.com=gitea`. A host is written as in the
repository's address, with its port where it has one. Where the API is elsewhere, its address follows a `+`:
`code.example.com=github+https://code.example.com/api/v3`.

The folder has a file for each host, a `:` of which is written as `_`: `git.example.com.token`, or for a GitHub App
`github.com.app-id` and `github.com.private-key`. What belongs to one host is sent to that host's API and to nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pipelines import settings
from pipelines.errors import Misconfigured
from pipelines.tools.forge import rest
from pipelines.tools.forge.forge import Forge
from pipelines.tools.forge.http import TIMING, ForgeApi
from pipelines.tools.forge.rest import Gitea, GitHub
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.registry.connection import Network, Timing

FORGES = "github.com=github"
"""The setting's default."""
REPORTING = {"metadata": "read", "statuses": "write", "pull_requests": "write"}
"""What a GitHub App's token is asked for, to report."""
PROPOSING = {"metadata": "read", "contents": "read", "pull_requests": "write"}
"""The same, to open pull requests."""


class NoForge(Misconfigured):
    """Nobody said which forge a repository is at, or there is no login for it."""


@dataclass(frozen=True, kw_only=True)
class _ForgeAddress:
    kind: str
    base: str
    """Of the API, without a slash at its end."""
    web: str
    repository: str
    """Owner and name."""


def connect(
    repo: RepositoryUrl,
    folder: Path,
    *,
    forges: str,
    plain_http: str = "",
    ca_file: str = "",
    rights: Mapping[str, str] = REPORTING,
    timing: Timing = TIMING,
) -> Forge:
    """Return the forge of a repository with the login of a folder; nothing is asked yet.

    `forges`, `plain_http` and `ca_file` are the settings of these names. Raises NoForge where the settings do not
    name the repository's host or the folder has no login for it, Misconfigured where either cannot be read.
    """
    network = Network(plain_http=settings.names(plain_http), ca_file=Path(ca_file) if ca_file else None, timing=timing)
    place = _place(repo, forges)
    network.check(place.base, f"the API of {place.web}")
    login = _LoginFolder(folder=folder, host=_host(repo))
    token = login.read("token")
    if token:
        words = {"github": "Bearer", "gitea": "token"}[place.kind]
        headers = rest.HEADERS if place.kind == "github" else {}
        api = ForgeApi(
            network,
            base=place.base,
            repository=place.repository,
            authorization=lambda: f"{words} {token}",
            login=f"the token in {login.path('token')}",
            headers=headers,
        )
        return GitHub(api, web=place.web) if place.kind == "github" else Gitea(api, web=place.web)
    identity = login.read("app-id")
    if place.kind == "github" and identity:
        return _as_app(network, place, login, identity, rights)
    raise NoForge(
        f"no login for {_host(repo)}",
        seen=f"{folder} has no {login.path('token').name}",
        todo="put a token into the Secret `shipway-forge`; see docs/reports.md",
    )


def _as_app(
    network: Network, place: _ForgeAddress, login: _LoginFolder, identity: str, rights: Mapping[str, str]
) -> GitHub:
    from pipelines.tools.forge.github_app import App, AppTokens  # noqa: PLC0415 - loads the cryptography that tokens do without

    app = App(id=identity, private_key=login.read("private-key"))
    tokens = AppTokens(network, app, base=place.base, repository=place.repository, rights=rights)
    api = ForgeApi(
        network,
        base=place.base,
        repository=place.repository,
        authorization=tokens.authorization,
        login=f"a token of App {identity}",
        headers=rest.HEADERS,
    )
    return GitHub(api, web=place.web, app=tokens.name)


@dataclass(frozen=True, kw_only=True)
class _LoginFolder:
    folder: Path
    host: str

    def path(self, what: str) -> Path:
        return self.folder / f"{self.host.replace(':', '_')}.{what}"

    def read(self, what: str) -> str:
        """Return a file's text, empty where there is none; raises Misconfigured, without a word of it."""
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


def _place(repo: RepositoryUrl, forges: str) -> _ForgeAddress:
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
            f"the setting `forges` has a kind that is none for {host}", seen=repr(kind), todo="write github or gitea"
        )
    *above, owner, name = ["", "", *repo.path.removesuffix(".git").split("/")]
    if not owner or (above[2:] and kind == "github"):
        raise NoForge(f"{repo} is no repository of a forge", seen=repo.path, todo="its path is OWNER/NAME")
    # An ssh address may have ssh's own port; the pages and the API are at the host's own. Gitea may stand below a path.
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
    except ValueError:  # brackets that do not close
        parts = urlsplit("")
    if parts.scheme not in {"https", "http"} or not parts.netloc or "@" in parts.netloc or parts.query:
        raise Misconfigured(
            f"the setting `forges` has no address of an API for {host}", seen=repr(api), todo="write https://…"
        )
    if api:
        web = base.removesuffix("/api/v3").removesuffix("/api/v1")
    return _ForgeAddress(kind=kind, base=base, web=f"{web}/{owner}/{name}", repository=f"{owner}/{name}")
