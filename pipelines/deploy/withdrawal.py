"""Takes what a rollback left behind out of the open pull requests that would bring it back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from pipelines.deploy.environment_writer import EnvironmentWriter
from pipelines.deploy.writer import CLOSED
from pipelines.environments import files as environment_files
from pipelines.environments.files import ApplicationFolder
from pipelines.environments.hold import Held
from pipelines.errors import Misconfigured, ShipwayError, Transient
from pipelines.tools.forge.forge import Forge, OpenPullRequest
from pipelines.tools.git import history as git_history
from pipelines.tools.git.write_back import ATTEMPTS, Head, Proposal, WriteBack

_OURS = "shipway/"
"""The beginning of the branches that deployments, promotions and rollbacks propose from."""
_WITHDRAWN = "shipway: withdrawn"


def withdraw(writer: EnvironmentWriter, left: Held, *, why: str) -> tuple[str, ...]:
    """Take versions out of every open pull request of Shipway's, and close those that propose nothing else.

    Return a line for each; a comment under it says why. Raises what Git and the forge raise.
    """
    names = [name for name in writer.git.refs(writer.url, "heads").branches if name.startswith(_OURS)]
    if not names:
        return ()
    forge, base = writer.forges.connect(writer.url), writer.ref
    opened = (forge.pull_request(name, base=base.removeprefix("refs/heads/")) for name in names)
    lines = (_withdrawn(writer, forge, base, pull, left, why=why) for pull in opened if pull)
    return tuple(filter(None, lines))


def _withdrawn(
    writer: EnvironmentWriter, forge: Forge, base: str, pull: OpenPullRequest, left: Held, *, why: str
) -> str:
    """Take versions out of one pull request; return what became of it, empty if it proposes none of them."""
    repository, branch = writer.repository, f"refs/heads/{pull.head}"
    for attempt in range(ATTEMPTS):
        with tempfile.TemporaryDirectory(prefix="shipway-withdraw-") as work:
            head = repository.head(base, Path(work) / "git")
            commit = writer.git.head(writer.url, branch)
            top = repository.also(head, branch, commit) if commit else None
            if top is None:
                continue
            common = git_history.merge_base(writer.git, writer.url, head.commit, top.commit, Path(work) / str(attempt))
            start = (repository.also(head, base, common) if common else None) or head
            proposed = {
                path for path in top.files.keys() | start.files.keys() if top.files.get(path) != start.files.get(path)
            }
            taken = [folder for folder in _applications(proposed) if _brings(writer, folder, start, top, left)]
            if not taken:
                return ""
            files = _undone(writer, taken, proposed, head, top)
            old = head.read(files)
            others = {path for path in proposed - files.keys() if top.files.get(path) != head.files.get(path)}
            if others or any(old.get(path) != data for path, data in files.items()):
                proposal = Proposal(files=files, title=f"Take {', '.join(taken)} out", body=why)
                if repository.onto(top, proposal):
                    text = f"{why}: {', '.join(taken)} is taken out of this pull request."
                    forge.comment(pull.number, _WITHDRAWN, text)
                    return f"{pull.url}: without {', '.join(taken)}"
            elif _closed(repository, forge, pull, top, f"{why}, and nothing else is proposed here."):
                return f"{pull.url}: closed"
    raise Transient(f"{pull.url} cannot be changed", seen=f"{branch} moved {ATTEMPTS} times", todo="close it")


def _closed(repository: WriteBack, forge: Forge, pull: OpenPullRequest, top: Head, why: str) -> bool:
    """Close a pull request with the reason; return False if somebody pushed to it meanwhile."""
    forge.comment(pull.number, CLOSED, f"Closed: {why}")
    if top.is_ours and not repository.git.push(top.repository, None, top.ref, expected=top.commit):
        return False
    forge.close(pull.number)
    return True


def _undone(
    writer: EnvironmentWriter, folders: Iterable[str], proposed: Iterable[str], head: Head, top: Head
) -> dict[str, bytes]:
    """Return files of applications as the base has them; on a person's commit, with the base's versions alone."""
    files: dict[str, bytes] = {}
    for path in folders:
        if top.is_ours:
            files |= head.read(file for file in proposed if file.startswith(f"{path}/"))
        else:
            old, new = _folder(writer, path, head), _folder(writer, path, top)
            files |= writer.edited(new, writer.registries.versions(old), old.held).files
    return files


def _applications(paths: Iterable[str]) -> list[str]:
    """Return the folders of applications that files belong to."""
    return sorted({"/".join(path.split("/")[:2]) for path in paths if path.count("/") == 2})


def _brings(writer: EnvironmentWriter, folder: str, old: Head, new: Head, left: Held) -> bool:
    """Whether an application runs in one commit what was left behind, and did not in another."""
    return bool((_versions(writer, folder, new) - _versions(writer, folder, old)) & {*left.images, *left.charts})


def _versions(writer: EnvironmentWriter, path: str, head: Head) -> set[str]:
    """Return the digests of an application's images and NAME@VERSION of its chart; none if it cannot be read."""
    try:
        folder = _folder(writer, path, head)
        versions = writer.registries.versions(folder, allow_missing=True)
    except (Transient, Misconfigured):
        raise
    except ShipwayError:
        return set()
    assert folder.application is not None
    return {*versions.images.values(), f"{folder.application.chart}@{versions.version}"}


def _folder(writer: EnvironmentWriter, path: str, head: Head) -> ApplicationFolder:
    environment, name = path.split("/")
    under = writer.registries.under
    return environment_files.one(
        head, environment, name, under=under, places=environment_files.named(head, under=under)
    )
