"""Git over the network: what a repository's refs name, and one commit of it, without more history than needed.

Every call runs in an environment of its own (git_environment). Servers differ: most give a commit by its id, some only
what a ref names now; `fetch` takes either way and gives exactly the commit asked for, or fails.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from pipelines.errors import Misconfigured, ShipwayError, Transient
from pipelines.tools.git import errors
from pipelines.tools.git import refs as git_refs
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.environment import GitEnvironment
from pipelines.tools.git.refs import Refs, RefTarget, Resolved
from pipelines.tools.git.repository import GitRepository
from pipelines.tools.processes.process import Completed, run

_QUIET = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance")
_FETCHED = "refs/shipway/fetched"
_PARTIAL = "partial"
_EVERYTHING = ("+refs/heads/*:refs/shipway/heads/*", "+refs/tags/*:refs/shipway/tags/*")
_DEEPER = 64


class Git:
    """Git with one credential, in a private folder that ends with the `with` block."""

    def __init__(
        self,
        credentials: GitCredentials,
        *,
        ca_file: Path | None = None,
        fetch_seconds: float = 1800,
        ask_seconds: float = 120,
        stall_seconds: float = 60,
        git: str = "git",
    ) -> None:
        self._credentials = credentials
        self._ca_file = ca_file
        self._fetch_seconds = fetch_seconds
        self._ask_seconds = ask_seconds
        self._stall_seconds = stall_seconds
        self._git = git

    def __enter__(self) -> Git:
        """Make the private folder."""
        self._private = Path(tempfile.mkdtemp(prefix="shipway-git-"))
        try:
            self._environment = GitEnvironment(
                self._private, self._credentials, ca_file=self._ca_file, stall_seconds=self._stall_seconds
            )
        except BaseException:
            shutil.rmtree(self._private)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the private folder, with whatever copy of a key it holds."""
        shutil.rmtree(self._private, ignore_errors=True)

    def refs(self, url: RepositoryUrl, *kinds: str) -> Refs:
        """Return what every ref of a repository names now; refs that Git could read as an option are left out.

        With `kinds`, "heads" or "tags" or both, the server is asked for no others, and not for the default branch: hosts
        keep a ref for each pull request there ever was. Raises Transient, Misconfigured (login) or ShipwayError (no such repository).
        """
        done = self._ask(url, "ls-remote", "--quiet", "--symref", *(f"--{kind}" for kind in kinds), "--", _address(url))
        if done.code != 0:
            raise self._error(f"cannot read the refs of {url}", done, url)
        return git_refs.read(done.stdout)

    def ls_remote(self, url: RepositoryUrl) -> Mapping[str, str]:
        """Return the commit of every branch, tag (peeled) and other ref, by full name."""
        return {name: commit for name, commit in self.refs(url).commits.items() if name != "HEAD"}

    def head(self, url: RepositoryUrl, ref: str) -> str | None:
        """Return the commit that a full ref names now, or None when there is no such ref; the server is asked for no other."""
        found = self.named(url, ref)
        return found.commit if found else None

    def commit_at(self, url: RepositoryUrl, ref: str) -> str:
        """Return the commit that a full ref of a branch names now; raises ShipwayError, naming branches, where there is none."""
        return git_refs.branch(url, ref, self.refs(url, "heads"))

    def named(self, url: RepositoryUrl, ref: str) -> RefTarget | None:
        """Return what a full ref names now, or None when there is no such ref; one request, whatever refs there are else."""
        done = self._ask(url, "ls-remote", "--quiet", "--", _address(url), ref, f"{ref}^{{}}")
        if done.code != 0:
            raise self._error(f"cannot read {ref} of {url}", done, url)
        lines = (line.partition("\t") for line in done.stdout.split("\n"))  # U+2028 may stand in a name
        found = {name: value for value, _, name in lines}
        if ref not in found:
            return None
        return RefTarget(object=found[ref], commit=found.get(f"{ref}^{{}}", found[ref]))

    def resolve(self, url: RepositoryUrl, revision: Revision) -> Resolved:
        """Return the commit that a revision names; a full commit id is taken as it is, without asking.

        Raises Misuse where a tag and a branch share the name, ShipwayError naming close ones where there is none.
        """
        if revision.is_commit:
            return Resolved(commit=str(revision), ref="")
        if revision == "HEAD":
            return git_refs.default(url, self.refs(url))
        refs = self.refs(url, "heads", "tags")
        found = git_refs.find(url, revision, refs)
        if found is None and "/" in revision:
            refs = self.refs(url)
            found = git_refs.find(url, revision, refs)
        if found is None:
            raise git_refs.unknown(url, revision, refs)
        return found

    def fetch(self, url: RepositoryUrl, wanted: Resolved, folder: Path, *, with_files: bool = True) -> GitRepository:
        """Return a new repository in `folder` that holds exactly the wanted commit, shallow where the server lets it.

        Without files only its tree comes, where the server lets it, and `fetch_files` brings those that are needed.
        Raises ShipwayError when the commit is not there (any more), and what `refs` raises.
        """
        partial = not with_files and not url.local_path
        settings = []
        if partial:
            # With another algorithm the server would leave out the files of a commit that is here without them.
            settings = [(f"remote.{_PARTIAL}.url", _address(url)), ("fetch.negotiationAlgorithm", "noop")]
        repository = GitRepository.create(
            folder, url, self._environment, git=self._git, commit=wanted.commit, settings=settings
        )
        specs = [f"+{wanted.commit}:{_FETCHED}"]
        if not partial:
            done = self._fetch(repository, "--depth=1", specs=specs)
        else:
            done = self._fetch(repository, "--depth=1", "--filter=blob:none", address=_PARTIAL, specs=specs)
            repository.lacks_files = done.code == 0 and "filtering not recognized" not in done.stderr
        if errors.refuses_commit(done):
            self._fetch_by_ref(repository, wanted, done)
        elif done.code != 0:
            raise self._error(f"cannot fetch {wanted.commit} of {url}", done, url)
        repository.commit(wanted.commit)
        return repository

    def fetch_files(self, repository: GitRepository, ids: Iterable[str]) -> None:
        """Bring files of a repository that was fetched without them, by their ids, all at once; raises what `fetch` raises."""
        wanted = sorted(set(ids))
        if not repository.lacks_files or not wanted:
            return
        # As Git fetches what a partial clone lacks (promisor-remote.c), but for all files at once.
        way = ["--filter=blob:none", "--stdin"]
        done = self._fetch(repository, *way, address=_PARTIAL, specs=(), stdin="\n".join(wanted))
        if errors.refuses_commit(done):
            sys.stderr.write(f"{repository.url} gives no file by its id; fetching all files\n")
            commit = repository.call("rev-parse", _FETCHED).stdout.strip()
            way = ["--refetch", "--no-filter", "--depth=1"]
            done = self._fetch(repository, *way, address=_PARTIAL, specs=[f"+{commit}:{_FETCHED}"])
        if done.code != 0:
            raise self._error(f"cannot fetch files of {repository.url}", done, repository.url)

    def deepen(self, repository: GitRepository, commit: str, depth: int) -> None:
        """Bring so many commits before one that was fetched, without further files where it came without; raises what `fetch` does."""
        partial = repository.lacks_files
        way = [f"--depth={depth}", *(["--filter=blob:none"] if partial else [])]
        done = self._fetch(repository, *way, address=_PARTIAL if partial else "", specs=[f"+{commit}:{_FETCHED}"])
        if done.code != 0:
            raise self._error(f"cannot fetch the history of {repository.url}", done, repository.url)

    def fetch_also(self, repository: GitRepository, commits: Iterable[str]) -> bool:
        """Bring further commits, without files where the first came without; return whether the remote gave all of them."""
        partial = repository.lacks_files
        way = ["--depth=1", *(["--filter=blob:none"] if partial else [])]
        specs = [f"+{commit}:{_FETCHED}-{commit}" for commit in commits]
        try:
            return self._fetch(repository, *way, address=_PARTIAL if partial else "", specs=specs).code == 0
        except Transient:
            return False

    def push(self, repository: GitRepository, commit: str | None, ref: str, *, expected: str | None) -> bool:
        """Let a ref of the remote name a commit, or nothing for None; return False where somebody else was faster.

        `expected` is what the ref must name until then, None where there is to be no such ref. Raises Refused where a rule of the
        host protects the ref, Misconfigured where the login may not write, Transient.
        """
        done = run(
            [
                self._git,
                f"--git-dir={repository.path}",
                "push",
                "--porcelain",
                "--no-verify",
                f"--force-with-lease={ref}:{expected or ''}",
                "--",
                _address(repository.url),
                f"{commit or ''}:{ref}",
            ],
            timeout_seconds=self._fetch_seconds,
            env=self._environment.variables(repository.url),
        )
        if done.code == 0:
            return True
        if errors.was_overtaken(done):
            return False
        login = self._environment.login(repository.url)
        raise errors.push_error(f"cannot push {ref} of {repository.url}", done, repository.url, login)

    def histories(
        self, url: RepositoryUrl, named: Mapping[str, str], folder: Path, *, commit: str = "", depth: int = 0
    ) -> GitRepository:
        """Return a new repository in `folder` with the histories of commits or refs, each under a ref of its own.

        `named` says which of ours names which of the remote's. Trees and files stay away where the server lets them; `depth` is
        how many commits of each come, 0 for all; `commit` is any of the repository's. Raises what `fetch` raises.
        """
        settings = [("remote.history.url", _address(url))]
        repository = GitRepository.create(
            folder, url, self._environment, git=self._git, commit=commit, settings=settings
        )
        specs = "\n".join(f"+{source}:{ref}" for ref, source in named.items())
        way = [*([f"--depth={depth}"] if depth else []), "--filter=tree:0", "--stdin"]
        done = self._fetch(repository, *way, address="history", specs=(), stdin=specs)
        if done.code != 0:
            what = next(iter(named.values())) if len(named) == 1 else f"{len(named)} refs"
            raise self._error(f"cannot fetch the history of {what} of {url}", done, url)
        return repository

    def uncommitted(self, url: RepositoryUrl) -> int:
        """Return how many files of a local working tree differ from its HEAD or are not in Git; 0 for any other address.

        A folder that somebody else owns is not asked: reading its state would run what its configuration names.
        """
        folder = Path(url.local_path).resolve() if url.local_path else None
        if folder is None or not (folder / ".git").exists() or folder.stat().st_uid != os.geteuid():
            return 0
        done = run(
            # Given here, since the repository's own configuration goes before the one file of ours.
            [self._git, "-C", folder, "-c", "core.fsmonitor=false", "status", "--porcelain", "--ignore-submodules=all"],
            timeout_seconds=self._ask_seconds,
            env=self._environment.variables(url),
        )
        return len(done.stdout.splitlines()) if done.code == 0 else 0

    def _fetch_by_ref(self, repository: GitRepository, wanted: Resolved, refusal: Completed) -> None:
        """Fetch what a ref names, deeper and deeper, until the wanted commit is there."""
        if wanted.ref:
            ways: Sequence[Sequence[str]] = (["--depth=1"], [f"--depth={_DEEPER}"], ["--unshallow"])
            specs: Sequence[str] = [f"+{wanted.ref}:{_FETCHED}"]
        else:
            if "not our ref" in refusal.stderr:
                raise _absent(repository.url, wanted, errors.cleaned(refusal.stderr))
            sys.stderr.write(f"{repository.url} gives no commit by its id; fetching its whole history\n")
            ways, specs = [()], _EVERYTHING
        for way in ways:
            done = self._fetch(repository, *way, specs=specs)
            if done.code != 0 and not errors.refuses_commit(done) and "--unshallow" not in way:
                raise self._error(
                    f"cannot fetch {wanted.ref or wanted.commit} of {repository.url}", done, repository.url
                )
            if repository.has(wanted.commit):
                return
        raise _absent(repository.url, wanted, "it is not in the history that the server gives")

    def _fetch(
        self, repository: GitRepository, *way: str, specs: Sequence[str], address: str = "", stdin: str | None = None
    ) -> Completed:
        words = [
            f"--git-dir={repository.path}",
            "fetch",
            *_QUIET,
            *way,
            "--",
            address or _address(repository.url),
            *specs,
        ]
        return run(
            [self._git, *words],
            timeout_seconds=self._fetch_seconds,
            env=self._environment.variables(repository.url),
            stdin=stdin,
            umask=0o022,
        )

    def _ask(self, url: RepositoryUrl, *words: str) -> Completed:
        return run(
            [self._git, *words],
            timeout_seconds=self._ask_seconds,
            env=self._environment.variables(url),
            cwd=self._private,
        )

    def _error(self, what: str, done: Completed, url: RepositoryUrl) -> ShipwayError:
        return errors.error(what, done, url, self._environment.login(url))


def require_lfs() -> None:
    """Raise Misconfigured when git-lfs is not installed."""
    if shutil.which("git-lfs") is None:
        raise Misconfigured(
            "large files were asked for and git-lfs is not installed",
            seen="no git-lfs on PATH",
            todo="install git-lfs, or build without --lfs",
        )


def _address(url: RepositoryUrl) -> str:
    """Return the address as Git gets it: a folder of this machine as a whole path, which must be a folder."""
    if not url.local_path:
        return str(url)
    folder = Path(url.local_path).resolve()
    if not folder.is_dir():
        raise ShipwayError(f"{url} is not a folder", seen=str(folder), todo="give a folder with a Git repository")
    return str(folder)


def _absent(url: RepositoryUrl, wanted: Resolved, seen: str) -> ShipwayError:
    if wanted.ref:
        todo = f"{wanted.ref} was moved or deleted meanwhile; run it again for what it names now"
    else:
        todo = "check the commit id, and that it was pushed"
    return ShipwayError(f"{url} does not have the commit {wanted.commit}", seen=seen, todo=todo)
