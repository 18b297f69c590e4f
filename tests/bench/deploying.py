"""A deployment to one of many values files, and what of its time is Git's own."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pipelines.environments import files as environment_files
from pipelines.environments.files import any_of
from pipelines.environments.image_places import DesiredImage
from pipelines.tools.git.address import RepositoryUrl
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.remote import Git
from pipelines.tools.git.write_back import Author, Head, Proposal, WriteBack
from tests import git_server
from tests.git_repositories import Repository

FILES = 2000
_UNDER = "registry.example/team/"
_AUTHOR = Author(name="Bench", email="bench@example.org")


def repository(folder: Path, files: int) -> Repository:
    """Return an environments repository of so many applications, each with an image of its own."""
    made = Repository(folder)
    for number in range(files):
        place = made.path / "dev" / f"app-{number}"
        place.mkdir(parents=True)
        (place / "config.yaml").write_text(f"chart: app-{number}\nversion: 1.0.0\nnamespace: shop\n")
        (place / "values.yaml").write_text(
            (
                f"# of app {number}\nreplicas: 2\nimage:\n  repository: {_UNDER}app-{number}\n"
                "  tag: v0 # written by deployments\n"
            )
            + "".join(f"setting{line}: some text that stands there\n" for line in range(40))
        )
    made.git("add", "--all")
    made.commit()
    for key in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant", "http.receivepack"):
        made.git("config", key, "true")
    made.git("config", "receive.denyCurrentBranch", "ignore")
    return made


def measure(folder: Path, pairs: int, files: int = FILES) -> dict[str, list[float]]:
    """Return the seconds of updates of one file, and of those that Git spent fetching and pushing."""
    made = repository(folder / "environments", files)
    taken: dict[str, list[float]] = {"all": [], "network": []}
    with git_server.serving(folder) as server, Git(GitCredentials.read(folder / "none")) as git:
        back = WriteBack(git=git, url=RepositoryUrl(f"{server.url}/environments"), author=_AUTHOR)
        for number in range(pairs):
            network: list[float] = []
            for name in ("head", "fetch", "fetch_files", "push"):
                setattr(git, name, _timed(getattr(Git, name).__get__(git), network))
            begin = time.perf_counter()
            written = back.commit("refs/heads/main", functools.partial(_proposal, number=number, files=files))
            taken["all"].append(time.perf_counter() - begin)
            taken["network"].append(sum(network))
            assert written.commit, "nothing was written"
    assert made.git("rev-list", "--count", "main") == str(pairs + 1)
    return taken


def tell(folder: Path, pairs: int) -> dict[str, object]:
    """Print the figures and return them for machines."""
    taken = measure(folder, pairs)
    own = sorted(every - network for every, network in zip(taken["all"], taken["network"], strict=True))
    network = sorted(taken["network"])
    sys.stdout.write(
        f"deploy, 1 of {FILES} values files: {own[len(own) // 2]:.2f} s of its own "
        f"({own[0]:.2f} to {own[-1]:.2f}), {network[len(network) // 2]:.2f} s of Git's network\n"
    )
    return {"title": f"deploy, 1 of {FILES} values files", "own": own, "network": network}


def _timed(call: Callable[..., object], into: list[float]) -> Callable[..., object]:
    def timed(*arguments: object, **options: object) -> object:
        begin = time.perf_counter()
        try:
            return call(*arguments, **options)
        finally:
            into.append(time.perf_counter() - begin)

    return timed


def _proposal(head: Head, number: int, files: int) -> Proposal:
    name = f"app-{files // 2}"
    folders, _ = environment_files.read(head, "dev", under=_UNDER, config=any_of([name]), values=any_of([name]))
    wanted = {f"{_UNDER}{name}": DesiredImage(digest="sha256:" + "0" * 64, tag=f"v{number + 1}")}
    written: dict[str, bytes] = {}
    for folder in folders:
        if folder.values:
            data, changes = folder.values.edited(wanted)
            written |= {folder.values.file: data} if changes else {}
    return Proposal(files=written, title=f"Deploy {number}")
