"""Git over the network: list a repository's refs, fetch a commit with no more history than needed, push.

Every call runs in its own environment (`environment`). Servers differ: most serve a commit by its id, some only what a
ref names now; `fetch` tries both and returns exactly the requested commit, or fails.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from types import TracebackType

from pipelines.errors import Misconfigured, ShipwayError, Transient
from pipelines.tools.git import errors
from pipelines.tools.git import refs as git_refs
from pipelines.tools.git.address import RepositoryUrl, Revision
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.environment import GitEnvironment, overriding
from pipelines.tools.git.refs import Refs, RefTarget, Resolved
from pipelines.tools.git.repository import GitRepository
from pipelines.tools.processes.process import Completed, run

_QUIET = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance")
_FETCHED = "refs/shipway/fetched"
_PARTIAL = "partial"
_EVERYTHING = ("+refs/heads/*:refs/shipway/heads/*", "+refs/tags/*:refs/shipway/tags/*")
_DEEPER = 64


@dataclass(eq=False)
class Git:
    """Git with one credential, in a private folder that is removed at the end of the `with` block."""

    credentials: GitCredentials
    _: KW_ONLY
    ca_file: Path | None = None
    fetch_seconds: float = 1800
    ask_seconds: float = 120
    stall_seconds: float = 60
    git: str = "git"

    def __enter__(self) -> Git:
        """Create the private folder."""
        self._private = Path(tempfile.mkdtemp(prefix="shipway-git-"))
        try:
            self._environment = GitEnvironment(
                self._private, self.credentials, ca_file=self.ca_file, stall_seconds=self.stall_seconds
            )
        except BaseException:
            shutil.rmtree(self._private)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the private folder, with any copy of a key in it."""
        shutil.rmtree(self._private, ignore_errors=True)

    def refs(self, url: RepositoryUrl, *kinds: str) -> Refs:
        """Return the refs of a repository, without those that Git could read as an option.

        With `kinds`, "heads" or "tags" or both, the server lists no others, nor the default branch: hosts keep a ref
        for every pull request. Raises Transient, Misconfigured (login) or ShipwayError (no such repository).
        """
        done = self._ask(url, "ls-remote", "--quiet", "--symref", *(f"--{kind}" for kind in kinds), "--", _address(url))
        if done.code != 0:
            raise self._error(f"cannot read the refs of {url}", done, url)
        return git_refs.read(done.stdout)

    def head(self, url: RepositoryUrl, ref: str) -> str | None:
        """Return the commit that a full ref names now, or None if there is no such ref; the server lists no other."""
        target = self.target(url, ref)
        return target.commit if target else None

    def commit_at(self, url: RepositoryUrl, ref: str) -> str:
        """Return the commit of a branch's full ref; raises ShipwayError, which lists branches, if there is none."""
        return git_refs.branch(url, ref, self.refs(url, "heads"))

    def target(self, url: RepositoryUrl, ref: str) -> RefTarget | None:
        """Return what a full ref names now, or None if there is no such ref; the server lists no other."""
        done = self._ask(url, "ls-remote", "--quiet", "--", _address(url), ref, f"{ref}^{{}}")
        if done.code != 0:
            raise self._error(f"cannot read {ref} of {url}", done, url)
        lines = (line.partition("\t") for line in done.stdout.split("\n"))  # a name may contain U+2028
        objects = {name: value for value, _, name in lines}
        if ref not in objects:
            return None
        return RefTarget(object=objects[ref], commit=objects.get(f"{ref}^{{}}", objects[ref]))

    def resolve(self, url: RepositoryUrl, revision: Revision) -> Resolved:
        """Return the commit that a revision names; a full commit id is returned unchecked.

        Raises Misuse if a tag and a branch share the name, ShipwayError with similar names if there is none.
        """
        if revision.is_commit:
            return Resolved(commit=str(revision), ref="")
        if revision == "HEAD":
            return git_refs.default(url, self.refs(url))
        refs = self.refs(url, "heads", "tags")
        resolved = git_refs.find(url, revision, refs)
        if resolved is None and "/" in revision:
            refs = self.refs(url)
            resolved = git_refs.find(url, revision, refs)
        if resolved is None:
            raise git_refs.unknown(url, revision, refs)
        return resolved

    def fetch(self, url: RepositoryUrl, resolved: Resolved, folder: Path, *, with_files: bool = True) -> GitRepository:
        """Return a new repository in `folder` with exactly one commit, shallow if the server allows it.

        Without files it holds the commit's tree alone, if the server allows it, and `fetch_files` fetches those needed.
        Raises ShipwayError if the server does not have the commit, and what `refs` raises.
        """
        partial = not with_files and not url.local_path
        settings = []
        if partial:
            # Other algorithms let the server omit files of a commit that is here without them.
            settings = [(f"remote.{_PARTIAL}.url", _address(url)), ("fetch.negotiationAlgorithm", "noop")]
        repository = GitRepository.create(
            folder, url, self._environment, git=self.git, commit=resolved.commit, settings=settings
        )
        specs = [f"+{resolved.commit}:{_FETCHED}"]
        if not partial:
            done = self._fetch(repository, "--depth=1", specs=specs)
        else:
            done = self._fetch(repository, "--depth=1", "--filter=blob:none", address=_PARTIAL, specs=specs)
            repository.lacks_files = done.code == 0 and "filtering not recognized" not in done.stderr
        if errors.refuses_commit(done):
            self._fetch_by_ref(repository, resolved, done)
        elif done.code != 0:
            raise self._error(f"cannot fetch {resolved.commit} of {url}", done, url)
        repository.commit(resolved.commit)
        return repository

    def fetch_files(self, repository: GitRepository, ids: Iterable[str]) -> None:
        """Fetch files by their ids, all at once, if the repository lacks them; raises what `fetch` raises."""
        missing = sorted(set(ids))
        if not repository.lacks_files or not missing:
            return
        # As Git fetches what a partial clone lacks (promisor-remote.c), but for all files at once.
        options = ["--filter=blob:none", "--stdin"]
        done = self._fetch(repository, *options, address=_PARTIAL, specs=(), stdin="\n".join(missing))
        if errors.refuses_commit(done):
            sys.stderr.write(f"{repository.url} gives no file by its id; fetching all files\n")
            commit = repository.call("rev-parse", _FETCHED).stdout.strip()
            options = ["--refetch", "--no-filter", "--depth=1"]
            done = self._fetch(repository, *options, address=_PARTIAL, specs=[f"+{commit}:{_FETCHED}"])
        if done.code != 0:
            raise self._error(f"cannot fetch files of {repository.url}", done, repository.url)

    def deepen(self, repository: GitRepository, commit: str, depth: int) -> None:
        """Fetch `depth` commits of a commit's history, without files if it has none; raises what `fetch` raises."""
        partial = repository.lacks_files
        options = [f"--depth={depth}", *(["--filter=blob:none"] if partial else [])]
        done = self._fetch(repository, *options, address=_PARTIAL if partial else "", specs=[f"+{commit}:{_FETCHED}"])
        if done.code != 0:
            raise self._error(f"cannot fetch the history of {repository.url}", done, repository.url)

    def fetch_also(self, repository: GitRepository, commits: Iterable[str]) -> bool:
        """Fetch further commits, without files if the first has none; return whether the server sent all of them."""
        partial = repository.lacks_files
        options = ["--depth=1", *(["--filter=blob:none"] if partial else [])]
        specs = [f"+{commit}:{_FETCHED}-{commit}" for commit in commits]
        try:
            return self._fetch(repository, *options, address=_PARTIAL if partial else "", specs=specs).code == 0
        except Transient:
            return False

    def push(self, repository: GitRepository, commit: str | None, ref: str, *, expected: str | None) -> bool:
        """Set a ref of the remote to a commit, or delete it for None; return False if the ref has moved.

        `expected` is the commit that the ref must name, None if it must not exist. Raises Refused if a rule of the host
        protects the ref, Misconfigured if the login may not write, Transient.
        """
        options = ["--porcelain", "--no-verify", f"--force-with-lease={ref}:{expected or ''}"]
        words = ["push", *options, "--", _address(repository.url), f"{commit or ''}:{ref}"]
        done = run(
            [self.git, f"--git-dir={repository.path}", *words],
            timeout_seconds=self.fetch_seconds,
            env=self._environment.variables(repository.url),
        )
        if done.code == 0:
            return True
        if errors.was_overtaken(done):
            return False
        login = self._environment.login(repository.url)
        raise errors.push_error(f"cannot push {ref} of {repository.url}", done, repository.url, login)

    def histories(
        self, url: RepositoryUrl, sources: Mapping[str, str], folder: Path, *, commit: str = "", depth: int = 0
    ) -> GitRepository:
        """Return a new repository in `folder` with the histories of commits or refs, each under its own ref.

        `sources` maps these refs to the remote's commits or refs. Trees and files are left out if the server allows it;
        `depth` limits the commits of each, 0 for all; `commit` shows the hash algorithm. Raises what `fetch` raises.
        """
        settings = [("remote.history.url", _address(url))]
        repository = GitRepository.create(
            folder, url, self._environment, git=self.git, commit=commit, settings=settings
        )
        specs = "\n".join(f"+{source}:{ref}" for ref, source in sources.items())
        options = [*([f"--depth={depth}"] if depth else []), "--filter=tree:0", "--stdin"]
        done = self._fetch(repository, *options, address="history", specs=(), stdin=specs)
        if done.code != 0:
            what = next(iter(sources.values())) if len(sources) == 1 else f"{len(sources)} refs"
            raise self._error(f"cannot fetch the history of {what} of {url}", done, url)
        return repository

    def uncommitted(self, url: RepositoryUrl) -> int:
        """Return how many files of a local working tree differ from its HEAD or are untracked; 0 for any other address.

        A folder that somebody else owns counts as 0: reading its status would run commands of its configuration.
        """
        # Said at each call, since the repository's configuration overrides the one file that Git reads.
        named = self._in_working_tree(url, "config", "--null", "--name-only", "--get-regexp", r"^filter\.")
        filters = named.stdout.split("\0")[:-1] if named else []
        off = {"core.fsmonitor": "false", **{name: "" if name[-9:] != ".required" else "false" for name in filters}}
        done = self._in_working_tree(url, "status", "--porcelain", "--ignore-submodules=all", settings=off)
        return len(done.stdout.splitlines()) if done and done.code == 0 else 0

    def checked_out(self, url: RepositoryUrl) -> str:
        """Return the commit that a local working tree of this user has checked out; empty for any other address."""
        done = self._in_working_tree(url, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        return done.stdout.strip() if done and done.code == 0 else ""

    def _in_working_tree(
        self, url: RepositoryUrl, *words: str, settings: Mapping[str, str] | None = None
    ) -> Completed | None:
        """Run Git in the working tree of a local address; None if there is none, or if somebody else owns it."""
        folder = Path(url.local_path).resolve() if url.local_path else None
        if folder is None or not (folder / ".git").exists() or folder.stat().st_uid != os.geteuid():
            return None
        return run(
            [self.git, "-C", folder, *words],
            timeout_seconds=self.ask_seconds,
            env=self._environment.variables(url) | overriding(settings or {}),
        )

    def _fetch_by_ref(self, repository: GitRepository, resolved: Resolved, refusal: Completed) -> None:
        """Fetch what a ref names, with more and more history, until the commit is there."""
        if resolved.ref:
            attempts: Sequence[str] = ("--depth=1", f"--depth={_DEEPER}", "--unshallow")
            specs: Sequence[str] = [f"+{resolved.ref}:{_FETCHED}"]
        else:
            if "not our ref" in refusal.stderr:
                raise _absent(repository.url, resolved, errors.cleaned(refusal.stderr))
            sys.stderr.write(f"{repository.url} gives no commit by its id; fetching its whole history\n")
            attempts, specs = ("",), _EVERYTHING
        for depth in attempts:
            done = self._fetch(repository, *filter(None, [depth]), specs=specs)
            if done.code != 0 and not errors.refuses_commit(done) and depth != "--unshallow":
                what = f"cannot fetch {resolved.ref or resolved.commit} of {repository.url}"
                raise self._error(what, done, repository.url)
            if repository.has(resolved.commit):
                return
        raise _absent(repository.url, resolved, "it is not in the history that the server gives")

    def _fetch(
        self,
        repository: GitRepository,
        *options: str,
        specs: Sequence[str],
        address: str = "",
        stdin: str | None = None,
    ) -> Completed:
        words = ["fetch", *_QUIET, *options, "--", address or _address(repository.url), *specs]
        return run(
            [self.git, f"--git-dir={repository.path}", *words],
            timeout_seconds=self.fetch_seconds,
            env=self._environment.variables(repository.url),
            stdin=stdin,
            umask=0o022,
        )

    def _ask(self, url: RepositoryUrl, *words: str) -> Completed:
        return run(
            [self.git, *words],
            timeout_seconds=self.ask_seconds,
            env=self._environment.variables(url),
            cwd=self._private,
        )

    def _error(self, what: str, done: Completed, url: RepositoryUrl) -> ShipwayError:
        return errors.error(what, done, url, self._environment.login(url))


def require_lfs() -> None:
    """Raise Misconfigured if git-lfs is not installed."""
    if shutil.which("git-lfs") is None:
        raise Misconfigured(
            "large files were asked for and git-lfs is not installed",
            seen="no git-lfs on PATH",
            todo="install git-lfs, or build without --lfs",
        )


def _address(url: RepositoryUrl) -> str:
    """Return the address for Git's command line, a folder as an absolute path; raises ShipwayError if it is missing."""
    if not url.local_path:
        return str(url)
    folder = Path(url.local_path).resolve()
    if not folder.is_dir():
        raise ShipwayError(f"{url} is not a folder", seen=str(folder), todo="give a folder with a Git repository")
    return str(folder)


def _absent(url: RepositoryUrl, resolved: Resolved, seen: str) -> ShipwayError:
    if resolved.ref:
        todo = f"{resolved.ref} was moved or deleted meanwhile; run it again for what it names now"
    else:
        todo = "check the commit id, and that it was pushed"
    return ShipwayError(f"{url} does not have the commit {resolved.commit}", seen=seen, todo=todo)
