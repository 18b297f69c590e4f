"""The step `push`: what is published, which tags name it, and what holds when runs meet or die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError, Transient
from pipelines.images import image_config, tag_names
from pipelines.images.model import Base, Checkout, Published
from pipelines.images.push import publish
from pipelines.step import results
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.connection import Timing
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import LAYER, MANIFEST, Layout
from pipelines.tools.registry.reference import Digest, Reference
from tests.git_repositories import Repository
from tests.lying_registry import SILENCE, Asked, LyingRegistry, Reply, errors, lying_registry
from tests.oci_images import image
from tests.registry_process import registry
from tests.steps import step

push = step("push", Published)

NAME = "team/web"
OCI = "org.opencontainers.image."
QUICK = Timing(backoff_seconds=0.001)


@pytest.fixture
def liar() -> Iterator[LyingRegistry]:
    """A registry that lies when told to."""
    with lying_registry() as state:
        yield state


@pytest.fixture
def remote(tmp_path: Path) -> Repository:
    """A Git repository with one commit on main."""
    repository = Repository(tmp_path / "remote")
    repository.write("file", "1").commit("One")
    return repository


class Run:
    """The workspace of one run: a commit of the remote and an image built from it."""

    def __init__(
        self, folder: Path, remote: Repository, *, ref: str = "refs/heads/main", version: str = "", content: str = ""
    ) -> None:
        self.commit = remote.git("rev-parse", "HEAD")
        self.folder = folder
        self.version = version
        self.checkout = Checkout(
            repo=str(remote.path),
            revision=ref,
            ref=ref,
            commit=self.commit,
            time=0,
            tree="",
            path="web",
            dockerfile="web/Dockerfile",
            target="",
            build_args=(),
            platform="linux/amd64",
            bases=(),
        )
        self.build(content or self.commit)

    def build(self, content: str, **annotations: str) -> None:
        """Write the image, with what `build` says of its origin, and other annotations for those of these names."""
        facts = image_config.facts_of(self.checkout, name="", version=self.version)
        notes = image_config.image_annotations(None, facts) | {
            f"{OCI}{key}": value for key, value in annotations.items()
        }
        self.layout, self.descriptor = image(self.folder / "image", content, annotations=notes)
        self.digest = self.descriptor.digest

    def push(self, address: str, **changes: object) -> Published:
        """Run the step in this process."""
        arguments = {
            "checkout": self.checkout,
            "version": self.version,
            "image": self.folder / "image",
            "bases": self.folder / "bases",
            "docker_config": self.folder / "push",
            "credentials": self.folder / "git",
            "registry": address,
            "project": "team",
            "plain_http": address,
        }
        return push(**{**arguments, **changes})

    def start(self, address: str) -> subprocess.Popen[bytes]:
        """Run the step as a process, as a pod does."""
        results.store(self.checkout, self.folder / "out" / "clone")
        words = ["--checkout=out/clone", f"--version={self.version}", "--outputs=out/main"]
        settings = {"SHIPWAY_REGISTRY": address, "SHIPWAY_PROJECT": "team", "SHIPWAY_PLAIN_HTTP": address}
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines", "step", "push", *words],
            cwd=self.folder,
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def release(folder: Path, remote: Repository, version: str, content: str = "") -> Run:
    """Return a run for a Git tag on the remote's head."""
    remote.git("tag", "--force", f"v{version}")
    return Run(folder, remote, ref=f"refs/tags/v{version}", version=version, content=content or version)


def named(address: str, tag: str) -> Digest | None:
    """Return what a tag names now."""
    found = Registry(Credentials(), plain_http=frozenset({address}), timing=QUICK).resolve(
        Reference(registry=address, repository=NAME, tag=tag)
    )
    return found.descriptor.digest if found else None


def all_tags(address: str) -> set[str]:
    """Return the tags that there are."""
    client = Registry(Credentials(), plain_http=frozenset({address}), timing=QUICK)
    return set(client.tags(Reference(registry=address, repository=NAME)))


# --- publishing ---


def test_an_image_is_published_with_its_tags(tmp_path: Path, remote: Repository) -> None:
    """An image of a branch's head is there by its digest, its commit and its branch; a second run changes nothing."""
    run = Run(tmp_path / "run", remote)
    with registry(tmp_path) as address:
        first = run.push(address)
        log = tmp_path / "registry" / "log"
        before = log.read_text(encoding="utf-8").count('"PUT /')
        assert first == Published(
            name=NAME.rpartition("/")[2],
            digest=run.digest,
            reference=f"{address}/{NAME}@{run.digest}",
            commit=run.commit,
            tags=(f"git-{run.commit}", "main"),
            size=2 * len(f"{run.commit} 0"),
        )
        assert all_tags(address) == set(first.tags)
        assert {named(address, tag) for tag in first.tags} == {run.digest}
        assert run.push(address) == first
        assert log.read_text(encoding="utf-8").count('"PUT /') == before > 0


def test_a_second_run_only_asks(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """A rerun of anything that is published sends nothing at all."""
    for run in (Run(tmp_path / "a", remote), release(tmp_path / "b", remote, "1.0.0")):
        first = run.push(liar.address)
        liar.asked.clear()
        assert run.push(liar.address) == first
        assert {asked.method for asked in liar.asked} == {"GET"}


@pytest.mark.parametrize(
    ("ref", "expected"),
    [("", ()), ("refs/heads/feature/x", ("feature-x-",)), ("refs/pull/7/head", ("pr-7-",)), ("refs/tags/nightly", ())],
)
def test_each_ref_has_its_tags(
    tmp_path: Path, remote: Repository, liar: LyingRegistry, ref: str, expected: tuple[str, ...]
) -> None:
    """The commit's tag is always set, and one more for a branch or a pull request."""
    if ref:
        remote.git("update-ref", ref, "HEAD")
    run = Run(tmp_path / "run", remote, ref=ref)
    found = run.push(liar.address).tags
    assert found[0] == f"git-{run.commit}"
    assert len(found) == 1 + len(expected)
    assert all(tag.startswith(start) for tag, start in zip(found[1:], expected, strict=True))
    assert all_tags(liar.address) == set(found)


def test_layers_of_a_base_are_not_sent_again(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """The layers that an image shares with its base come from the base's repository."""
    run = Run(tmp_path / "run", remote)
    client = Registry(Credentials(), plain_http=frozenset({liar.address}))
    base = Reference(registry=liar.address, repository="team/base", tag="git-x")
    client.push(run.layout, run.descriptor, base)
    client.pull(base.with_digest(run.digest), Layout.create(tmp_path / "run" / "bases"), platform="linux/amd64")
    liar.asked.clear()
    entry = Base(name="base", reference=str(base), resolved=run.digest, digest=run.digest, sibling=True)
    run.checkout = Checkout(**{**vars(run.checkout), "bases": (entry,)})
    run.build(run.commit, **{"base.name": "base", "base.digest": str(run.digest)})
    run.push(liar.address)
    assert liar.count("PUT", f"{NAME}/blobs/uploads") == 1, "only the configuration is sent"


# --- refusals that change nothing ---


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"registry": ""}, Misconfigured, "registry"),
        ({"registry": "https://r.example"}, Misuse, "registry"),
        ({"name": "Web App"}, Misuse, "repository"),
        ({"name": "../other"}, Misuse, "repository"),
        ({"project": "Team"}, Misuse, "repository"),
        ({"repo": "https://evil.example/x"}, Refused, "another repository"),
        ({"ca_file": "nowhere.pem"}, Misconfigured, "nowhere"),
    ],
)
def test_what_cannot_be_published_is_refused_first(
    tmp_path: Path,
    remote: Repository,
    liar: LyingRegistry,
    changes: dict[str, object],
    kind: type[ShipwayError],
    words: str,
) -> None:
    """Missing settings and bad names are told before the registry hears of anything."""
    with pytest.raises(kind, match=words):
        Run(tmp_path / "run", remote).push(liar.address, **changes)
    assert liar.asked == []


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ({"revision": "f" * 40}, "revision is not '"),
        ({"version": "9.9.9", "ref.name": "web:9.9.9"}, "version is not '"),
        ({"title": "api"}, "title is not 'web'"),
        ({"source": "https://forge.example/other"}, "there are more"),
        ({"created": "2030-01-01T00:00:00Z"}, "created is not '1970"),
        ({"base.digest": f"sha256:{0:064}", "base.name": "debian"}, "there are more"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_an_image_that_claims_another_origin_is_refused(
    tmp_path: Path, remote: Repository, liar: LyingRegistry, annotations: dict[str, str], words: str
) -> None:
    """Later runs believe what a published image says of itself, so it is what the checkout says."""
    run = Run(tmp_path / "run", remote)
    run.build("forged", **annotations)
    with pytest.raises(Refused, match="annotations are not those of web at") as raised:
        run.push(liar.address)
    assert words in raised.value.seen
    assert liar.asked == []


def test_no_file_of_the_build_but_the_image_is_believed(
    tmp_path: Path, remote: Repository, liar: LyingRegistry
) -> None:
    """A build that writes another name, ref, commit and digest into its results is published as what it is."""
    run = Run(tmp_path / "run", remote, ref="refs/heads/feature")
    remote.git("branch", "feature")
    other = Run(tmp_path / "other", remote, content="other")
    forged = run.folder / "out" / "build"
    forged.mkdir(parents=True)
    for field, value in {
        "name": "victim",
        "ref": "refs/heads/main",
        "commit": "f" * 40,
        "digest": str(other.digest),
        "tags": '["main"]',
    }.items():
        (forged / field).write_text(value)
    assert run.start(liar.address).wait(timeout=120) == 0
    found = results.load(Published, run.folder / "out" / "main")
    assert found.digest == run.digest
    assert all_tags(liar.address) == {f"git-{run.commit}", "feature"}
    assert {asked.path.split("/manifests/")[0] for asked in liar.asked if "/manifests/" in asked.path} == {
        f"/v2/{NAME}"
    }


SECRET = '{"auths": {"registry.example": {"auth": "c2VjcmV0"}}}'


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "content", "missing", "size"])
@pytest.mark.parametrize("part", ["index", "manifest", "config", "layer"])
def test_a_layout_of_anything_but_its_image_is_refused(
    part: str, kind: str, tmp_path: Path, remote: Repository, liar: LyingRegistry, capfd: pytest.CaptureFixture[str]
) -> None:
    """No link is followed, no pipe waited for, and no blob taken for what its name says; nothing is sent or shown."""
    run = Run(tmp_path / "run", remote)
    (tmp_path / "config.json").write_text(SECRET)
    manifest = run.layout.json(run.digest)
    path = {
        "index": run.layout.path / "index.json",
        "manifest": run.layout.blob(run.digest),
        "config": run.layout.blob(Digest(manifest["config"]["digest"])),
        "layer": run.layout.blob(Digest(manifest["layers"][1]["digest"])),
    }[part]
    data = path.read_bytes()
    path.unlink()
    if kind == "link":
        path.symlink_to(tmp_path / "config.json")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(data[:-1] + (b"" if kind == "size" else b"!"))
    with pytest.raises(Refused) as raised:
        run.push(liar.address)
    assert liar.asked == []
    assert "c2VjcmV0" not in str(raised.value) + "".join(capfd.readouterr())


def rewritten(run: Run, *, manifest: tuple[str, str] = ("", ""), config: tuple[str, str] = ("", "")) -> None:
    """Replace a piece of the image's manifest and one of its configuration, with digests and sizes that fit."""
    was = run.layout.read(run.digest).decode()
    described = run.layout.json(run.digest)["config"]
    text = run.layout.read(Digest(described["digest"])).decode()
    assert config[0] in text, text
    added = run.layout.add(text.replace(*config, 1).encode(), described["mediaType"])
    now = was.replace(described["digest"], added.digest).replace(
        f'"size":{described["size"]}', f'"size":{added.size}', 1
    )
    assert manifest[0] in now, now
    (run.layout.path / "index.json").unlink()
    Layout.create(run.layout.path).name(run.layout.add(now.replace(*manifest, 1).encode(), MANIFEST), "")


SUBJECT = f'"subject":{{"mediaType":"{MANIFEST}","digest":"sha256:{0:064}","size":1}}'


@pytest.mark.parametrize(
    "manifest",
    [
        ('"layers":', '"layers":[],"layers":'),
        ('"schemaVersion":', '"Layers":[],"schemaVersion":'),
        ('"schemaVersion":', '"layer\u017f":[],"schemaVersion":'),
        ('"annotations":', '"annotations":{"x":"y"},"annotations":'),
        ('"schemaVersion":', '"annotationS":{"x":"y"},"schemaVersion":'),
        ('"schemaVersion":', f'{SUBJECT},"schemaVersion":'),
        ('"schemaVersion":', '"artifactType":"application/vnd.example","schemaVersion":'),
        ('"mediaType":"application/vnd.oci.image.layer.v1.tar', f'"urls":["https://x.example/"],"mediaType":"{LAYER}'),
        ("image.layer.v1.tar", "image.layer.nondistributable.v1.tar"),
        ("vnd.oci.image.config.v1", "vnd.cncf.helm.config.v1"),
        ('"schemaVersion":', ' "schemaVersion":'),
    ],
)  # fmt: skip
def test_a_manifest_that_says_more_than_its_image_is_refused(
    manifest: tuple[str, str], tmp_path: Path, remote: Repository, liar: LyingRegistry
) -> None:
    """Each program reads another of two keys, in Go in any case; `subject` makes an image the signature of another."""
    run = Run(tmp_path / "run", remote)
    rewritten(run, manifest=manifest)
    with pytest.raises(Refused, match="does not hold the image that was built"):
        run.push(liar.address)
    assert liar.asked == []


@pytest.mark.parametrize(
    "config",
    [
        ('"config":', '"config":{},"config":'),
        ('"config":', '"Config":{},"config":'),
        ('"architecture":"amd64"', '"architecture":"arm64"'),
        ('"os":"linux"', '"os":"windows"'),
        ('"os":"linux"', '"os":"linux","os.version":"1"'),
        ('"created":"1970', '"created":"2070'),
        ('"Labels":', '"Privileged":true,"Labels":'),
        ('"diff_ids":[', '"diff_ids":["sha256:1",'),
        ('"type":"layers"', '"diff_id\u017f":[],"type":"layers"'),
        ('"config":{', '"config":{"Env":[1],'),
    ],
)
def test_a_configuration_that_says_more_than_its_image_is_refused(
    config: tuple[str, str], tmp_path: Path, remote: Repository, liar: LyingRegistry
) -> None:
    """As a manifest; what a base says is read from there by later builds."""
    run = Run(tmp_path / "run", remote)
    rewritten(run, config=config)
    with pytest.raises(Refused, match="does not hold the image that was built"):
        run.push(liar.address)
    assert liar.asked == []


def test_an_image_as_it_is_written_stays_publishable(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """What the refusals above are made with changes nothing by itself."""
    run = Run(tmp_path / "run", remote)
    rewritten(run)
    assert run.push(liar.address).digest == run.digest


def test_a_layer_without_content_is_not_read_to_its_end(
    tmp_path: Path, remote: Repository, liar: LyingRegistry
) -> None:
    """A sparse file takes no room, and to hash terabytes of nothing takes until the deadline."""
    run = Run(tmp_path / "run", remote)
    digest, size = Digest(f"sha256:{0:064}"), 1 << 42
    with run.layout.blob(digest).open("wb") as file:
        file.truncate(size)
    layer = f'{{"digest":"{digest}","mediaType":"application/vnd.oci.image.layer.v1.tar","size":{size}}},'
    less = layer.replace(str(size), str(-size)).replace(digest, f"sha256:{1:064}")
    rewritten(
        run,
        manifest=('"layers":[', f'"layers":[{less}{layer}'),
        config=('"diff_ids":[', f'"diff_ids":["{digest}","{digest}",'),
    )
    with pytest.raises(Refused, match="does not hold the image that was built") as raised:
        run.push(liar.address)
    assert "bytes" in raised.value.seen
    assert liar.asked == []


def test_layers_of_a_base_are_taken_from_the_base(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """Where the bases are on another volume, the layout of `build` has links to them, which are not needed."""
    run = Run(tmp_path / "run", remote)
    bases = Layout.create(run.folder / "bases")
    for entry in run.layout.json(run.digest)["layers"]:
        layer = Digest(entry["digest"])
        bases.link(run.layout.blob(layer), layer)
        run.layout.blob(layer).unlink()
        run.layout.blob(layer).symlink_to(tmp_path / "nowhere")
    assert run.push(liar.address).digest == run.digest


# --- versions ---


def test_a_version_that_is_absent_is_published(tmp_path: Path, remote: Repository) -> None:
    """A version and `latest` appear with the first release."""
    run = release(tmp_path / "run", remote, "1.2.3")
    with registry(tmp_path) as address:
        assert run.push(address).tags == (f"git-{run.commit}", "1.2.3", "latest")
        assert named(address, "1.2.3") == named(address, "latest") == run.digest


def test_a_version_with_another_content_is_refused(tmp_path: Path, remote: Repository) -> None:
    """A version is never overwritten: both digests and commits are named, and not even a blob is sent."""
    first = release(tmp_path / "a", remote, "1.2.3", "one")
    with registry(tmp_path) as address:
        first.push(address)
        remote.write("file", "2").commit("Two")
        second = release(tmp_path / "b", remote, "1.2.3", "two")
        with pytest.raises(Refused, match="already published") as raised:
            second.push(address)
        assert all(word in str(raised.value) for word in (first.digest, second.digest, first.commit, second.commit))
        assert named(address, "1.2.3") == first.digest
        assert named(address, f"git-{second.commit}") is None


@pytest.mark.parametrize(
    "reply",
    [Reply(status=500), Reply(status=200), errors(401, "UNAUTHORIZED", "no"), errors(403, "DENIED", "no"), SILENCE],
    ids="500 empty 401 403 silence".split(),
)
def test_a_version_of_unknown_state_is_never_pushed(
    tmp_path: Path, remote: Repository, liar: LyingRegistry, reply: Reply
) -> None:
    """When the registry does not say whether a version exists, nothing is sent."""
    liar.lie("GET", "manifests/1.2.3", reply)
    run = release(tmp_path / "run", remote, "1.2.3")
    timing = Timing(backoff_seconds=0.001, answer_seconds=0.3 if reply is SILENCE else 20, attempts=2)
    client = Registry(Credentials(), plain_http=frozenset({liar.address}), timing=timing)
    with pytest.raises((Transient, Misconfigured)):
        publish_run(client, liar.address, run, lambda _: run.commit)
    assert {asked.method for asked in liar.asked} == {"GET"}


def test_a_version_whose_manifest_is_lost_is_unknown(tmp_path: Path, remote: Repository) -> None:
    """A tag that is listed and answers 404 was published once: it is not taken for absent."""
    first = release(tmp_path / "a", remote, "1.2.3", "one")
    second = release(tmp_path / "b", remote, "1.2.3", "two")
    with registry(tmp_path) as address:
        first.push(address)
        blobs = tmp_path / "registry/data/docker/registry/v2/blobs/sha256"
        (blobs / first.digest.hex[:2] / first.digest.hex / "data").unlink()
        with pytest.raises(Transient, match=r"state of version 1\.2\.3"):
            second.push(address)
        assert named(address, f"git-{second.commit}") is None


@pytest.mark.parametrize("gone", [False, True], ids=["moved", "deleted"])
def test_a_git_tag_that_is_not_there_any_more(
    tmp_path: Path, remote: Repository, liar: LyingRegistry, gone: bool
) -> None:
    """A version whose Git tag was moved or deleted since the checkout is refused before anything is sent."""
    run = release(tmp_path / "run", remote, "1.2.3")
    remote.write("file", "2").commit("Two")
    remote.git("tag", *(["--delete", "v1.2.3"] if gone else ["--force", "v1.2.3"]))
    with pytest.raises(Refused, match="does not name the commit") as raised:
        run.push(liar.address)
    assert run.commit in str(raised.value)
    assert liar.asked == []


def test_latest_only_rises(tmp_path: Path, remote: Repository) -> None:
    """`latest` follows the highest release in whatever order they come, and no pre-release."""
    seen = []
    with registry(tmp_path) as address:
        for n, version in enumerate(["1.9.0", "2.0.0-rc.1", "1.10.0", "1.9.1", "2.0.0", "1.10.1"]):
            run = release(tmp_path / str(n), remote, version)
            tag_names = run.push(address).tags
            seen.append((version, "latest" in tag_names, named(address, "latest") == run.digest))
    assert seen == [
        ("1.9.0", True, True),
        ("2.0.0-rc.1", False, False),
        ("1.10.0", True, True),
        ("1.9.1", False, False),
        ("2.0.0", True, True),
        ("1.10.1", False, False),
    ]


def test_latest_without_a_version_is_left_alone(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """A `latest` that somebody pushed by hand is not moved on a guess."""
    other = Run(tmp_path / "a", remote, content="by hand")
    client = Registry(Credentials(), plain_http=frozenset({liar.address}))
    to = Reference(registry=liar.address, repository=NAME)
    client.push(other.layout, other.descriptor, to)
    client.tag(to.with_digest(other.digest), "latest")
    assert "latest" not in release(tmp_path / "b", remote, "1.0.0").push(liar.address).tags
    assert named(liar.address, "latest") == other.digest


def test_a_branch_cannot_take_a_version(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """Branches called like a version, like `latest` or like a commit's tag touch none of these."""
    good = release(tmp_path / "good", remote, "1.2.3")
    good.push(liar.address)
    for n, branch in enumerate(["1.2.3", "latest", f"git-{good.commit}"]):
        remote.git("checkout", "--quiet", "-b", branch)
        remote.write("file", branch).commit()
        Run(tmp_path / str(n), remote, ref=f"refs/heads/{branch}").push(liar.address)
    assert {named(liar.address, tag) for tag in ("1.2.3", "latest", f"git-{good.commit}")} == {good.digest}


# --- branches that move ---


def test_an_old_commit_does_not_take_the_branch(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """A run that comes after its branch has moved on publishes its image and leaves the branch's tag alone."""
    old = Run(tmp_path / "old", remote)
    remote.write("file", "2").commit("Two")
    assert old.push(liar.address).tags == (f"git-{old.commit}",)
    assert named(liar.address, "main") is None


def test_an_old_run_after_the_new_one_leaves_the_branch(
    tmp_path: Path, remote: Repository, liar: LyingRegistry
) -> None:
    """Runs that end in the wrong order leave the tag at the newer commit."""
    old = Run(tmp_path / "old", remote)
    remote.write("file", "2").commit("Two")
    new = Run(tmp_path / "new", remote)
    assert "main" in new.push(liar.address).tags
    assert "main" not in old.push(liar.address).tags
    assert named(liar.address, "main") == new.digest


def test_a_branch_that_moves_while_its_tag_is_set(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """When the head moves on and is published just before the old run sets the tag, the old run puts it right."""
    old = Run(tmp_path / "old", remote)
    news: list[Run] = []

    def meanwhile(asked: Asked) -> Reply:
        remote.write("file", "2").commit("Two")
        news.append(Run(tmp_path / "new", remote))
        assert "main" in news[0].push(liar.address).tags
        return liar.truth(asked)

    liar.lie("PUT", "manifests/main$", meanwhile, times=1)
    assert "main" not in old.push(liar.address).tags
    assert named(liar.address, "main") == news[0].digest


def test_a_branch_that_moves_to_what_is_not_published_yet(
    tmp_path: Path, remote: Repository, liar: LyingRegistry
) -> None:
    """When the head moves on while the old run sets the tag, the run of the new head moves it later."""
    old = Run(tmp_path / "old", remote)

    def meanwhile(asked: Asked) -> Reply:
        remote.write("file", "2").commit("Two")
        return liar.truth(asked)

    liar.lie("PUT", "manifests/main$", meanwhile, times=1)
    old.push(liar.address)
    assert named(liar.address, "main") == old.digest
    new = Run(tmp_path / "new", remote)
    assert "main" in new.push(liar.address).tags
    assert named(liar.address, "main") == new.digest


def test_a_branch_that_is_gone(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """A branch that was deleted meanwhile gets no tag."""
    run = Run(tmp_path / "run", remote, ref="refs/heads/gone")
    assert run.push(liar.address).tags == (f"git-{run.commit}",)


def test_a_remote_that_does_not_answer_fails_the_run(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """Without the remote's word no branch's tag is moved, and the run says so."""
    run = Run(tmp_path / "run", remote)
    remote.path.rename(tmp_path / "away")
    with pytest.raises(ShipwayError):
        run.push(liar.address)
    assert named(liar.address, "main") is None


def publish_run(client: Registry, address: str, run: Run, head: Callable[[str], str | None]) -> tuple[str, ...]:
    """Do what the step does, with another client and another remote."""
    return publish(
        client,
        run.layout,
        run.descriptor,
        Reference(registry=address, repository=NAME),
        plan=tag_names.tag_plan(run.checkout.ref, run.commit),
        checkout=run.checkout,
        mounts={},
        head=head,
    ).tags


# --- keys ---


def test_the_first_image_of_a_key_is_kept(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """A run that built another image from the same takes the
    one that is there: its tags name it, and nothing is sent.
    """
    key = "0" * 64
    first = Run(tmp_path / "first", remote, content="first").push(liar.address, key=key)
    assert f"key-{key}" in first.tags
    liar.asked.clear()
    remote.write("file", "2").commit("Two")
    second = Run(tmp_path / "second", remote, content="second").push(liar.address, key=key)
    assert (second.digest, second.reference) == (first.digest, first.reference)
    assert second.size == len("first 0") + len("first 1")
    assert {named(liar.address, tag) for tag in second.tags} == {first.digest}
    assert {"main", f"key-{key}", f"git-{second.commit}"} == set(second.tags)
    assert not [asked for asked in liar.asked if "/blobs/uploads" in asked.path]


def test_an_unanswered_question_for_a_key_publishes_nothing(
    tmp_path: Path, remote: Repository, liar: LyingRegistry
) -> None:
    """No answer is not absent: the first writer could be anybody."""
    run = Run(tmp_path / "run", remote)
    liar.lie("GET", "/manifests/key-", errors(503, "UNAVAILABLE", "later"))
    with pytest.raises(Transient):
        publish(
            Registry(Credentials(), plain_http=frozenset({liar.address}), timing=QUICK),
            run.layout,
            run.descriptor,
            Reference(registry=liar.address, repository=NAME),
            plan=tag_names.tag_plan(run.checkout.ref, run.commit),
            checkout=run.checkout,
            mounts={},
            head=lambda _: run.commit,
            key="0" * 64,
        )
    assert not [asked for asked in liar.asked if asked.method in {"PUT", "POST", "PATCH"}]


def test_a_version_of_the_image_s_own_stays_with_its_first_content(
    tmp_path: Path, remote: Repository, liar: LyingRegistry
) -> None:
    """A rebuild of it succeeds without the version; a name that could be another kind of tag is none."""
    first = Run(tmp_path / "first", remote, content="first").push(liar.address, version_tag="2.0-1")
    second = Run(tmp_path / "second", remote, content="second").push(liar.address, version_tag="2.0-1")
    assert ("2.0-1" in first.tags, "2.0-1" in second.tags) == (True, False)
    assert (named(liar.address, "2.0-1"), named(liar.address, "main")) == (first.digest, second.digest)
    with pytest.raises(Misuse, match="not a version"):
        Run(tmp_path / "third", remote).push(liar.address, version_tag="latest")


def test_what_is_no_key_is_refused(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """Nothing else gets into a tag of that kind."""
    with pytest.raises(Misuse, match="not an image's key"):
        Run(tmp_path / "run", remote).push(liar.address, key="../x")


# --- runs that meet, and runs that die ---


def test_two_runs_of_one_commit(tmp_path: Path, remote: Repository) -> None:
    """Two runs of one commit at the same time both succeed, with one digest and the same tags."""
    runs = [Run(tmp_path / str(n), remote, content="same") for n in range(2)]
    with registry(tmp_path) as address:
        children = [run.start(address) for run in runs]
        assert [child.wait(timeout=120) for child in children] == [0, 0]
        published = [results.load(Published, run.folder / "out" / "main") for run in runs]
        assert published[0] == published[1]
        assert {named(address, tag) for tag in ("main", f"git-{runs[0].commit}")} == {runs[0].digest}


def test_two_runs_of_one_version(tmp_path: Path, remote: Repository, liar: LyingRegistry) -> None:
    """Of two contents for one version, the one that finds the other's there fails loudly, also at the last moment."""
    runs = [release(tmp_path / str(n), remote, "1.0.0", str(n)) for n in range(2)]
    seen: list[str] = []

    def meanwhile(asked: Asked) -> Reply:
        # The other run is through once this one has found the version absent for the first time.
        seen.append(runs[1].push(liar.address).reference)
        return errors(404, "MANIFEST_UNKNOWN", "manifest unknown")

    liar.lie("GET", r"manifests/1\.0\.0$", meanwhile, times=1)
    with pytest.raises(Refused, match="already published"):
        runs[0].push(liar.address)
    assert len(seen) == 1
    assert named(liar.address, "1.0.0") == runs[1].digest


@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "uploads"),
        ("PUT", "uploads/"),
        ("PUT", "manifests/sha256:"),
        ("PUT", "manifests/git-"),
        ("PUT", "manifests/1.0.0$"),
        ("PUT", "manifests/latest$"),
    ],
)
def test_a_killed_push_is_finished_by_a_rerun(
    tmp_path: Path, remote: Repository, liar: LyingRegistry, method: str, path: str, effect: bool
) -> None:
    """Killed with -9 before or after the effect of any request,
    no tag names a half image, and a rerun gives the digest.
    """
    run = release(tmp_path / "run", remote, "1.0.0")

    def hang(asked: Asked) -> Reply:
        if effect:
            liar.truth(asked)
        return SILENCE

    liar.lie(method, path, hang, times=1)
    child = run.start(liar.address)
    assert liar.silent.wait(timeout=120)
    child.send_signal(signal.SIGKILL)
    child.wait()
    for tag in all_tags(liar.address):
        assert named(liar.address, tag) == run.digest
        whole = Reference(registry=liar.address, repository=NAME, tag=tag)
        client = Registry(Credentials(), plain_http=frozenset({liar.address}), timing=QUICK)
        client.pull(whole, Layout.create(tmp_path / f"copy-{tag}"), platform="linux/amd64")
    assert not (run.folder / "out" / "main").exists()
    assert run.start(liar.address).wait(timeout=120) == 0
    result = results.load(Published, run.folder / "out" / "main")
    assert result.digest == run.digest
    assert all_tags(liar.address) == set(result.tags) == {f"git-{run.commit}", "1.0.0", "latest"}
    assert {named(liar.address, tag) for tag in result.tags} == {run.digest}


def test_a_registry_that_dies_in_a_push(tmp_path: Path, remote: Repository) -> None:
    """A registry killed between two runs keeps what it has; the next run completes it."""
    run = Run(tmp_path / "run", remote)
    with registry(tmp_path) as address:
        client = Registry(Credentials(), plain_http=frozenset({address}), timing=QUICK)
        client.push(run.layout, run.descriptor, Reference(registry=address, repository=NAME))
    with pytest.raises(Transient):
        publish_run(client, address, run, lambda _: run.commit)
    with registry(tmp_path) as address:
        assert run.push(address).tags == (f"git-{run.commit}", "main")
        assert named(address, "main") == run.digest


# --- what a build could write between the steps ---


@pytest.mark.parametrize(
    ("field", "to"), [("repo", "../../../push/config.json"), ("commit", "../../../git/password"), ("tree", "")]
)
def test_a_field_that_is_no_regular_file_is_refused_and_no_login_is_shown(
    tmp_path: Path, remote: Repository, field: str, to: str
) -> None:
    """A link to a login names no tag and is in no error; a FIFO holds nobody."""
    run = Run(tmp_path / "workspace", remote)
    (tmp_path / "push").mkdir()
    (tmp_path / "push/config.json").write_text('{"auths": {"registry.example.org": {"auth": "bG9naW46aHVudGVyMg=="}}}')
    (tmp_path / "git").mkdir()
    (tmp_path / "git/password").write_text("hunter2")
    results.store(run.checkout, run.folder / "out/clone")
    (run.folder / "out/clone" / field).unlink()
    if to:
        (run.folder / "out/clone" / field).symlink_to(to)
    else:
        os.mkfifo(run.folder / "out/clone" / field)
    with registry(tmp_path) as address:
        words = ["--checkout=out/clone", "--registry", address, "--project=team"]
        done = subprocess.run(
            [sys.executable, "-m", "pipelines", "step", "push", *words, f"--plain-http={address}"],
            cwd=run.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, named(address, "git-hunter2"), named(address, "main")) == (3, None, None)
    assert f"out/clone/{field} is not read" in done.stderr
    assert "not a regular file" in done.stderr
    assert "hunter2" not in done.stderr
    assert "bG9naW46" not in done.stderr
