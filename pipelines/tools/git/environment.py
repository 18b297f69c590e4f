"""The environment that Git runs in: without the configuration of the user, the system or the repository.

Git reads one file instead, written here. It replaces the user's (GIT_CONFIG_GLOBAL), because Git does not pass the
variables GIT_CONFIG_COUNT to the upload-pack that serves a folder of this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipelines.errors import Misconfigured
from pipelines.tools.git import credentials as git_credentials
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials, helper_command

_KEPT = (
    *("PATH", "TMPDIR"),
    *(name for proxy in ("http", "https", "all", "no") for name in (f"{proxy}_proxy", f"{proxy.upper()}_PROXY")),
)

_SETTINGS: tuple[tuple[str, str], ...] = (
    ("core.hooksPath", "/dev/null"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.autocrlf", "false"),
    ("core.eol", "lf"),
    ("core.symlinks", "true"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("core.fsync", "none"),  # a checkout that a crash interrupts is made again
    ("init.defaultBranch", "main"),
    ("init.templateDir", ""),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.detachedHead", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.unpackLimit", "1"),
    ("fetch.fsckObjects", "true"),
    ("log.showSignature", "false"),
    ("protocol.version", "2"),
    ("http.followRedirects", "initial"),
    ("http.lowSpeedLimit", "1"),
    ("credential.useHttpPath", "false"),
    ("lfs.locksverify", "false"),
    ("lfs.transfer.maxretries", "3"),
    ("lfs.transfer.maxretrydelay", "2"),  # seconds
)

_LFS: tuple[tuple[str, str], ...] = (
    ("filter.lfs.process", "git-lfs filter-process"),
    ("filter.lfs.smudge", "git-lfs smudge -- %f"),
    ("filter.lfs.clean", "git-lfs clean -- %f"),
    ("filter.lfs.required", "true"),
)

# A folder of this machine is read through a pipe, where compressing takes longer than sending.
_LOCAL: tuple[tuple[str, str], ...] = (("pack.compression", "0"), ("pack.window", "0"))

# Faults that old tools left in legitimate histories (git-fsck(1), "fsck message types"). Any other stops a fetch, above
# all names in a tree that would leave the checkout, and a .gitmodules that would run a command.
_HARMLESS = (
    *("badDate", "badDateOverflow", "badEmail", "badName", "badTimezone", "badFilemode", "badTagName"),
    *("extraHeaderEntry", "missingEmail", "missingNameBeforeEmail", "missingSpaceBeforeDate"),
    *(
        "missingSpaceBeforeEmail",
        "missingTaggerEntry",
        "multipleAuthors",
        "nulInCommit",
        "zeroPaddedDate",
        "zeroPaddedFilemode",
    ),
)

# A server may redirect a plain address to TLS, never the reverse.
_TRANSPORTS = {"https": "https", "http": "http:https", "ssh": "ssh", "file": "file"}

_SYSTEM_CAS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class GitEnvironment:
    """One private folder, and the variables that keep Git inside it."""

    def __init__(
        self, private: Path, credentials: GitCredentials, *, ca_file: Path | None, stall_seconds: float
    ) -> None:
        self._private = private
        self._credentials = credentials
        self._settings = [*_SETTINGS, ("http.lowSpeedTime", f"{stall_seconds:.0f}")]
        self._settings += [(f"fetch.fsck.{name}", "ignore") for name in _HARMLESS]
        # The empty value removes every helper named before.
        self._settings += [("credential.helper", ""), ("credential.helper", helper_command())]
        if ca_file:
            self._settings.append(("http.sslCAInfo", str(_with_system(ca_file, private / "ca.pem"))))

    def login(self, url: RepositoryUrl) -> str:
        """Return which login an address uses, as words for a message."""
        return "" if url.local_path else self._credentials.describe(url)

    def variables(self, url: RepositoryUrl | None = None, *, lfs: bool = False) -> dict[str, str]:
        """Return the whole environment for calls to one address, or for local calls.

        An address allows its own transport alone, and its login. A folder of this machine is read even if somebody else
        owns it, because the caller named it.
        """
        extra: list[tuple[str, str]] = []
        if url is not None and url.local_path:
            folder = Path(url.local_path).resolve()
            extra += [*_LOCAL, ("safe.directory", str(folder)), ("safe.directory", str(folder / ".git"))]
        if lfs and url is not None:
            extra += [*_LFS, ("lfs.url", lfs_address(url)), ("remote.origin.url", str(url))]
        config = git_credentials.keep(self._private, "config", configuration([*self._settings, *extra]))
        kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
        own = {
            "HOME": str(self._private),
            "XDG_CONFIG_HOME": str(self._private),
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "SSH_ASKPASS": "true",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_ALLOW_PROTOCOL": _TRANSPORTS[url.scheme] if url is not None else "",
        }
        login = self._credentials.environment(url, self._private) if url is not None else {}
        return kept | own | login


def configuration(settings: Iterable[tuple[str, str]]) -> bytes:
    """Return a configuration file of Git (git-config(1), "Syntax") with every value quoted."""
    lines = []
    for name, value in settings:
        section, _, key = name.rpartition(".")
        head, _, sub = section.partition(".")
        title = f'{head} "{_escaped(sub)}"' if sub else head
        lines.append(f'[{title}]\n\t{key} = "{_escaped(value)}"\n')
    return "".join(lines).encode()


def overriding(settings: Mapping[str, str]) -> dict[str, str]:
    """Return variables by which settings count before those of the repository, whatever characters a name has."""
    pairs = [*enumerate(settings.items())]
    numbered = {
        f"GIT_CONFIG_{what}_{at}": text for at, pair in pairs for what, text in zip(("KEY", "VALUE"), pair, strict=True)
    }
    return {"GIT_CONFIG_COUNT": str(len(pairs)), **numbered}


def lfs_address(url: RepositoryUrl) -> str:
    """Return the address of the repository's large files (Git LFS, server discovery); its .lfsconfig is ignored."""
    if url.local_path:
        return Path(url.local_path).resolve().as_uri()
    if url.is_ssh:
        return str(url)
    return url.rstrip("/").removesuffix(".git") + ".git/info/lfs"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")


def _with_system(ca_file: Path, combined: Path) -> Path:
    """Write the system's authorities and the given ones into one file, since Git reads only one."""
    import ssl  # noqa: PLC0415 - loads sockets, and few installations have authorities of their own

    system = [path for path in (ssl.get_default_verify_paths().cafile, *_SYSTEM_CAS) if path and Path(path).exists()]
    try:
        own = ca_file.read_bytes()
    except OSError as error:
        raise Misconfigured(
            "the certificate authorities cannot be read", seen=str(error), todo="correct the setting ca-file"
        ) from error
    combined.write_bytes((Path(system[0]).read_bytes() + b"\n" if system else b"") + own)
    return combined
