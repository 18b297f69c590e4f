"""Bad input of every kind, as it comes back to a user: one
error in three parts, its exit code, and an untouched registry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.git_repositories import Repository, simple
from tests.git_server import serving
from tests.shipway_process import Shipway

ERROR = re.compile(
    (
        r"^(?P<in> *)(?:shipway: )?(?P<what>\S.*)\n(?P=in)  seen: (?P<seen>.+)\n(?:(?P=in) {8}.*\n)*(?P=in)  do:   "
        r"(?P<do>.+)$"
    ),
    re.MULTILINE,
)


@dataclass(frozen=True)
class Workbench:
    """The command, what its words may name, and where the registry keeps what it names."""

    shipway: Shipway
    names: dict[str, str]
    registry: Path

    def published(self) -> dict[str, str]:
        """Return what every tag and revision in the registry names."""
        links = self.registry.glob("data/docker/registry/v2/repositories/**/_manifests/**/link")
        return {str(link.relative_to(self.registry)): link.read_text() for link in links}


@pytest.fixture(scope="module")
def place(embedded: tuple[Shipway, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """Repositories with a fault each, a Git server that wants a login, and an address where nobody is."""
    folder = tmp_path_factory.mktemp("refusals")
    address = embedded[1]["images"]["base"]["reference"].partition("/")[0]
    simple(folder / "app")
    Repository(folder / "none").commit()
    Repository(folder / "linked").link("Dockerfile", "/etc/passwd").commit()
    Repository(folder / "outside").write("Dockerfile", "FROM scratch\n").link("there", "/etc").commit()
    secret = (
        "FROM shipway.local/busybox:static\nRUN --mount=type=secret,id=token,required=true cat /run/secrets/token\n"
    )
    Repository(folder / "secret").write("Dockerfile", secret).commit()
    fails = "FROM shipway.local/busybox:static\nRUN true\nRUN echo my reason; exit 9\n"
    Repository(folder / "fails").write("Dockerfile", fails).commit()
    circle = Repository(folder / "circle").write("a/Dockerfile", "FROM b\n").write("b/Dockerfile", "FROM a\n")
    circle.commit()
    files = {
        "good": f"registry: {address}\nproject: shipway\nplain-http: {address}\nmirrors: shipway.local={address}\n",
        "other": f"registry: {address}\nplain-http: {address}\nbuilder: docker\n",
        "unregistered": "project: x\n",
        "misspelt": "regstry: x\n",
        "nested": "registry: {a: b}\n",
        "broken": "registry: [\n",
        "packed": "registry: registry.example.com\ncompression: lz4\n",
    }
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "binary.yaml").write_bytes(b"\x00\xff\xfe")
    with serving(folder / "nowhere") as nobody:
        dead = nobody.url
    with serving(folder) as server:
        server.login = ("ada", "right")
        names = {"server": server.url, "dead": dead, "nobody": dead.removeprefix("http://"), "folder": str(folder)}
        yield Workbench(Shipway(folder), names, embedded[0].state / "registry")


BUILD = "build --settings good.yaml"
SUBMIT = "submit clone-build-push --settings good.yaml"
CASES = [
    # the command line
    ("build -x", 2, "unrecognized arguments: -x"),
    ("buidl", 2, "invalid choice: 'buidl'"),
    (f"{BUILD} app --jobs 0", 2, "--jobs is not a number"),
    (f"{BUILD} app --build-arg VALUE", 2, "a build argument cannot be read"),
    (f"{BUILD} app --platform riscv", 2, "not a platform"),
    (f"{BUILD} app --image base", 2, r"no image base .*\n.* app \(\.\)"),
    (f"{BUILD} app --detach", 2, "--detach is for runs on a cluster"),
    # addresses and revisions
    (f"{BUILD} -- --upload-pack=touch", 2, "not a repository's address"),
    (f"{BUILD} app --revision=--upload-pack=touch", 2, "not a revision"),
    (f"{BUILD} ext::sh", 2, "a transport that runs programs"),
    (f"{BUILD} app\x1b[2J", 2, "not a repository's address"),
    (f"{BUILD} app --revision=main\x07", 2, "not a revision"),
    (f"{BUILD} app --revision feature/y", 1, "did you mean feature/x"),
    (f"{BUILD} missing", 1, "missing is not a folder"),
    (f"{BUILD} {{server}}/app/.git", 78, "401|refused|login|credential"),
    (f"{BUILD} {{dead}}/app.git", 75, "cannot read the refs"),
    # what the repository holds
    (f"{BUILD} none", 2, "none has no image"),
    (f"{BUILD} linked", 3, "a link that leaves the repository"),
    (f"{BUILD} circle", 3, "in a circle: a → b → a"),
    (f"{BUILD} fails", 1, r"the build failed at Dockerfile:3: RUN echo my reason(.|\n)*my reason\n"),
    (f"{BUILD} secret", 3, "Dockerfile:2: the secret 'token' is required and not declared"),
    (f"{BUILD} fails --platform linux/riscv64", 3, "there is no builder for linux/riscv64 here"),
    (f"{SUBMIT} -p repo={{folder}}/none", 1, "the repository has no file Dockerfile"),
    (f"{SUBMIT} -p repo={{folder}}/app -p path=there", 1, "the repository has no folder there"),
    (f"{SUBMIT} -p repo={{folder}}/outside -p path=there", 3, "leaves the checkout"),
    (f"{SUBMIT} -p repo={{folder}}/outside -p context=there", 3, "leaves the checkout"),
    (f'{SUBMIT} -p repo={{folder}}/app -p secret-ids=["../x"]', 2, "not a secret's id"),
    (f'{SUBMIT} -p repo={{folder}}/secret -p secret-ids=["token"]', 78, "token"),
    # workflows and steps
    (f"{SUBMIT} -p repo", 2, "a parameter cannot be read"),
    (f"{SUBMIT} -p rpeo=app", 2, "no parameter 'rpeo'"),
    (f"{SUBMIT}", 2, "not given\n.*repo"),
    ("submit clone --settings good.yaml", 2, "no such workflow"),
    # settings and registries
    ("build app --settings absent.yaml", 78, "No such file"),
    ("build app --settings binary.yaml", 78, "cannot be read"),
    ("build app --settings broken.yaml", 78, "cannot be read"),
    ("build app --settings nested.yaml", 78, "not a flat map"),
    ("build app --settings misspelt.yaml", 78, "unknown keys"),
    ("build app --settings unregistered.yaml", 78, "no registry"),
    ("build app --settings other.yaml", 78, "builder is not known"),
    ("plan app --settings packed.yaml", 78, "compression is not known"),
    ("build app --registry http://{nobody}/x", 2, "not a registry's address"),
    ("build app --registry localhost:65536/x", 2, "not a registry's address"),
    ("build app --state good.yaml/below", 1, "a file cannot be used\n.*good.yaml/below"),
    ("build app --registry {nobody}/x", 75, "{nobody} did not answer"),
]


@pytest.mark.parametrize(("line", "code", "said"), CASES, ids=[re.sub(r"[^ -~]", "?", line) for line, _, _ in CASES])
def test_refused(line: str, code: int, said: str, place: Workbench) -> None:
    """It is told once, with what was seen and what to do, and nothing is published."""
    before = place.published()
    words = [word.replace("\\", "").format(**place.names) for word in line.split(" ")]
    quiet = ["--quiet"] if words[0] in {"build", "submit"} and "--" not in words else []
    done = place.shipway.run(words[0], *quiet, *words[1:])
    told = done.stdout + done.stderr
    assert done.returncode == code, told
    assert "Traceback" not in told
    assert "right" not in told
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", told)
    found = [match[0] for match in ERROR.finditer(told)]
    assert len(found) == 1, told
    assert re.search(said.format(**place.names), found[0]), found[0]
    assert place.published() == before
    assert place.shipway.processes().keys() == set()
