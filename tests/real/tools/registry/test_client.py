"""The registry client, against the real registry program and against one that lies."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError, Transient
from pipelines.tools.registry.auth import challenges
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.connection import Timing
from pipelines.tools.registry.credentials import Credentials, Login
from pipelines.tools.registry.layout import INDEX, Descriptor, Layout
from pipelines.tools.registry.reference import Digest, Reference
from tests.lying_registry import RESET, SILENCE, Asked, LyingRegistry, Reply, errors, lying_registry
from tests.oci_images import image, index_of
from tests.registry_process import registry

NAME = "team/web"
# Waits are short, and nothing depends on how short: where an answer never comes, it never comes.
QUICK = Timing(answer_seconds=20, backoff_seconds=0.001, longest_wait_seconds=0.01)
HASTY = Timing(answer_seconds=0.3, commit_seconds=0.3, backoff_seconds=0.001, attempts=2)


@pytest.fixture
def liar() -> Iterator[LyingRegistry]:
    """A registry that lies when told to."""
    with lying_registry() as state:
        yield state


def client(*addresses: str, timing: Timing = QUICK, mirrors: dict[str, str] | None = None, **logins: Login) -> Registry:
    """Return a client that speaks plain HTTP to these addresses, the login `login` good for the first of them."""
    credentials = Credentials(logins={addresses[0]: logins["login"]} if logins else {})
    return Registry(credentials, plain_http=frozenset(addresses), mirrors=mirrors, timing=timing)


def at(address: str, tag: str = "") -> Reference:
    """Return the repository of these tests at an address."""
    return Reference(registry=address, repository=NAME, tag=tag)


# --- the real registry ---


def test_push_and_pull_give_the_same_image(tmp_path: Path) -> None:
    """What is pushed comes back byte for byte, by digest and by tag, and a second push sends nothing."""
    layout, descriptor = image(tmp_path / "image", padding=3_000_000)
    with registry(tmp_path) as address:
        here = client(address)
        assert here.resolve(at(address, "t")) is None
        assert here.tags(at(address)) == ()
        assert here.push(layout, descriptor, at(address)) is True
        here.tag(at(address).with_digest(descriptor.digest), "t")
        assert here.push(layout, descriptor, at(address)) is False
        found = here.resolve(at(address, "t"))
        assert found is not None
        assert (found.descriptor, found.data) == (descriptor, layout.read(descriptor.digest))
        assert here.tags(at(address)) == ("t",)
        pulled = here.pull(at(address, "t"), Layout.create(tmp_path / "copy"), platform="linux/amd64")
    copy = Layout(tmp_path / "copy")
    assert (pulled.resolved, pulled.descriptor) == (descriptor.digest, descriptor)
    assert copy.named(descriptor.digest) == descriptor
    for blob in (found.config, *found.layers):
        assert Digest.of(copy.blob(blob.digest).read_bytes()) == blob.digest
    assert not list((tmp_path / "copy" / "blobs").glob("partial-*"))


def test_another_client_reads_what_was_pushed(tmp_path: Path) -> None:
    """skopeo finds the same manifest, and all of its blobs."""
    layout, descriptor = image(tmp_path / "image")
    with registry(tmp_path) as address:
        client(address).push(layout, descriptor, at(address))
        words = ["--src-tls-verify=false", f"docker://{address}/{NAME}@{descriptor.digest}", f"dir:{tmp_path}/dir"]
        assert shutil.which("skopeo"), "apt-get install skopeo"
        subprocess.run(["skopeo", "--insecure-policy", "copy", "--preserve-digests", *words], check=True)
    assert Digest.of((tmp_path / "dir" / "manifest.json").read_bytes()) == descriptor.digest


@pytest.mark.parametrize(("user", "password"), [("robot$ci", "a:b:c"), ("team+ci", "p@ss/w%rd #1 ü")])
def test_basic_login_with_any_characters(tmp_path: Path, user: str, password: str) -> None:
    """A login whose parts hold special characters opens a registry that a wrong one does not."""
    layout, descriptor = image(tmp_path / "image")
    with registry(tmp_path, {user: password}) as address:
        login = Login(username=user, password=password)
        assert client(address, login=login).push(layout, descriptor, at(address))
        with pytest.raises(Misconfigured, match="login") as raised:
            client(address, login=Login(username=user, password=password + "x")).resolve(at(address, "t"))
        assert user in str(raised.value)
        assert password not in str(raised.value)
        with pytest.raises(Misconfigured, match="no credential"):
            client(address).resolve(at(address, "t"))


def test_layers_are_mounted_from_another_repository(tmp_path: Path) -> None:
    """A layer that a repository of the same registry has is not sent again."""
    layout, descriptor = image(tmp_path / "image")
    with registry(tmp_path) as address:
        here = client(address)
        here.push(layout, descriptor, at(address))
        manifest = here.resolve(at(address).with_digest(descriptor.digest))
        assert manifest is not None
        other = Reference(registry=address, repository="team/other")
        mounts = {layer.digest: NAME for layer in manifest.layers}
        assert here.push(layout, descriptor, other, mounts=mounts)
        assert here.resolve(other.with_digest(descriptor.digest)) is not None
    log = (tmp_path / "registry" / "log").read_text(encoding="utf-8")
    assert log.count("PUT /v2/team/other/blobs/uploads/") == 1, "only the configuration is sent"
    assert "HEAD /v2/team/other" not in log, "what is mounted is not asked for"


def test_a_registry_that_mounts_nothing_is_sent_what_it_lacks(liar: LyingRegistry, tmp_path: Path) -> None:
    """Where it takes nothing over from another repository, it
    gets the layer that it lacks, and not the one that it has.
    """
    liar.lie("POST", "uploads/", lambda asked: liar.truth(replace(asked, query={})))
    layout, descriptor = image(tmp_path / "image")
    layers = [Digest(entry["digest"]) for entry in json.loads(layout.read(descriptor.digest))["layers"]]
    liar.blobs[NAME, layers[0]] = layout.read(layers[0])
    assert client(liar.address).push(layout, descriptor, at(liar.address), mounts=dict.fromkeys(layers, "team/base"))
    assert liar.count("PUT", "uploads/") == len(layers), "the configuration, and every layer but one"


def test_an_empty_manifest_in_the_registry_is_unknown(tmp_path: Path) -> None:
    """A registry that was killed while it wrote, and holds an empty manifest since, has neither image nor absence."""
    layout, descriptor = image(tmp_path / "image")
    hasty = Timing(backoff_seconds=0.001, attempts=2)
    with registry(tmp_path) as address:
        here = client(address, timing=hasty)
        here.push(layout, descriptor, at(address))
        here.tag(at(address).with_digest(descriptor.digest), "t")
        data = tmp_path / "registry/data/docker/registry/v2/blobs/sha256" / descriptor.digest.hex[:2]
        (data / descriptor.digest.hex / "data").write_bytes(b"")
        with pytest.raises(Transient):
            here.resolve(at(address, "t"))
        # This registry keeps what it has under a digest, so nothing that is sent can mend it.
        with pytest.raises(Transient, match="cannot be read back"):
            here.push(layout, descriptor, at(address))


def test_a_lost_layer_is_sent_again(tmp_path: Path) -> None:
    """A manifest whose layer is gone is not taken for a published image."""
    layout, descriptor = image(tmp_path / "image")
    with registry(tmp_path) as address:
        here = client(address)
        here.push(layout, descriptor, at(address))
        layer = here.resolve(at(address).with_digest(descriptor.digest)).layers[0]  # type: ignore[union-attr]
        shutil.rmtree(
            tmp_path / "registry/data/docker/registry/v2/blobs/sha256" / layer.digest.hex[:2] / layer.digest.hex
        )
        assert here.push(layout, descriptor, at(address)) is True
        here.pull(at(address).with_digest(descriptor.digest), Layout.create(tmp_path / "copy"), platform="linux/amd64")


def test_many_tags_come_in_pages(tmp_path: Path) -> None:
    """Every tag is listed, however many pages the registry makes of them."""
    layout, descriptor = image(tmp_path / "image")
    with registry(tmp_path) as address:
        here = client(address)
        here.push(layout, descriptor, at(address))
        folder = tmp_path / "registry/data/docker/registry/v2/repositories" / NAME / "_manifests/tags"
        here.tag(at(address).with_digest(descriptor.digest), "t0")
        for n in range(1, 1005):
            shutil.copytree(folder / "t0", folder / f"t{n}")
        assert set(here.tags(at(address))) == {f"t{n}" for n in range(1005)}


def test_a_registry_that_is_down_is_transient(tmp_path: Path) -> None:
    """A refused connection is worth another try, and says nothing about the image."""
    with registry(tmp_path) as address:
        pass
    with pytest.raises(Transient, match=address):
        client(address).resolve(at(address, "t"))


# --- plain HTTP and TLS ---


def test_plain_http_only_where_it_is_listed(tmp_path: Path) -> None:
    """Not even loopback is spoken to without TLS unless the deployment says so."""
    with registry(tmp_path) as address:
        with pytest.raises(Misconfigured, match="does not speak TLS"):
            Registry(Credentials(), timing=QUICK).resolve(at(address, "t"))
        assert client(address).resolve(at(address, "t")) is None


def test_a_private_authority_is_trusted_only_by_its_file(tmp_path: Path) -> None:
    """A certificate of a private authority needs the setting ca-file, and an unknown one is no transient failure."""
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test "
        "-addext subjectAltName=IP:127.0.0.1 -keyout key -out cert".split(),
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with lying_registry(context) as state:
        with pytest.raises(Misconfigured, match="certificate"):
            Registry(Credentials(), timing=QUICK).resolve(at(state.address, "t"))
        trusting = Registry(Credentials(), ca_file=tmp_path / "cert", timing=QUICK)
        assert trusting.resolve(at(state.address, "t")) is None


def test_a_missing_authority_file_is_named(tmp_path: Path) -> None:
    """A setting ca-file that names nothing is told before anything is asked."""
    with pytest.raises(Misconfigured, match=r"nowhere\.pem"):
        Registry(Credentials(), ca_file=tmp_path / "nowhere.pem")


# --- what counts as an answer ---

_MANIFEST = r"/manifests/"
_KIND = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500),
        Reply(status=503, headers={"Retry-After": "0"}),
        Reply(status=429),
        Reply(status=200, headers=_KIND),
        Reply(status=200, headers=_KIND, body=b"<html>please log in</html>"),
        Reply(status=200, headers={"Content-Type": "text/html"}, body=b"{}"),
        Reply(status=200, headers=_KIND, body=b"[]"),
        Reply(status=200, headers=_KIND, body=b'{"schemaVersion":2}', cut=5),
        Reply(status=200, headers=_KIND | {"Content-Length": "5000"}, body=b'{"schemaVersion":2}'),
        Reply(status=200, headers=_KIND | {"Docker-Content-Digest": "sha256:" + "0" * 64}, body=b'{"schemaVersion":2}'),
        Reply(status=200, headers=_KIND, body=b'{"x":"' + b"x" * (4 << 20) + b'"}'),
        RESET,
    ],
    ids="500 503 429 empty html text list cut short-of-length other-digest too-long reset".split(),
)
def test_half_an_answer_is_unknown_never_absent(liar: LyingRegistry, reply: Reply) -> None:
    """Whatever is not a whole manifest or a 404 is asked for again, and then a transient failure."""
    liar.lie("GET", _MANIFEST, reply)
    with pytest.raises(Transient):
        client(liar.address).resolve(at(liar.address, "t"))


def test_silence_is_unknown(liar: LyingRegistry) -> None:
    """A registry that accepts a request and never answers is given up, with a transient failure."""
    liar.lie("GET", _MANIFEST, SILENCE)
    with pytest.raises(Transient, match="did not answer"):
        client(liar.address, timing=HASTY).resolve(at(liar.address, "t"))
    assert liar.count("GET", _MANIFEST) == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_is_not_tried_again(liar: LyingRegistry, status: int) -> None:
    """401 and 403 are settings to correct; asking again would only lock the account."""
    liar.lie("GET", _MANIFEST, errors(status, "DENIED", "not you"))
    with pytest.raises(Misconfigured, match="not you"):
        client(liar.address, login=Login(username="u", password="p")).resolve(at(liar.address, "t"))
    assert liar.count("GET", _MANIFEST) == 1


def test_a_manifest_with_two_natures_is_refused(liar: LyingRegistry) -> None:
    """Content that one client would read as an image and another as an index is not used."""
    liar.lie("GET", _MANIFEST, Reply(status=200, headers=_KIND, body=b'{"layers":[],"manifests":[]}'))
    with pytest.raises(ShipwayError, match="cannot read") as raised:
        client(liar.address).resolve(at(liar.address, "t"))
    assert not isinstance(raised.value, Transient)


def test_retry_after_is_honoured(liar: LyingRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A busy registry is asked again after the time that it names, within bounds, and then the push succeeds."""
    waits: list[float] = []
    monkeypatch.setattr("pipelines.tools.registry.connection.time.sleep", waits.append)
    liar.lie("POST", "uploads", errors(429, "TOOMANYREQUESTS", "slow down", Retry_After="7"), times=1)
    liar.lie("PUT", _MANIFEST, errors(503, "UNAVAILABLE", "later", Retry_After="100000"), times=1)
    layout, descriptor = image(tmp_path / "image")
    timing = Timing(backoff_seconds=0.001, longest_wait_seconds=60)
    assert client(liar.address, timing=timing).push(layout, descriptor, at(liar.address))
    assert waits == [7.0, 60]


def test_waits_grow(liar: LyingRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait for a registry that is down is longer than the one before, and there is an end."""
    waits: list[float] = []
    monkeypatch.setattr("pipelines.tools.registry.connection.time.sleep", waits.append)
    liar.lie("GET", _MANIFEST, Reply(status=502))
    with pytest.raises(Transient, match="502"):
        client(liar.address, timing=Timing(backoff_seconds=1, attempts=5)).resolve(at(liar.address, "t"))
    assert len(waits) == 4
    assert all(2**n <= wait <= 1.5 * 2**n for n, wait in enumerate(waits))


# --- pushing into what fails or lies ---


@pytest.mark.parametrize(
    ("method", "path"), [("HEAD", "blobs/"), ("POST", "uploads"), ("PUT", "uploads/"), ("PUT", _MANIFEST), ("GET", "")]
)
@pytest.mark.parametrize("reply", [Reply(status=500), Reply(status=429), RESET], ids=["500", "429", "reset"])
def test_a_push_survives_passing_faults(
    liar: LyingRegistry, tmp_path: Path, method: str, path: str, reply: Reply
) -> None:
    """Two faults in a row at any request do not fail the push, and what is there in the end is the image."""
    layout, descriptor = image(tmp_path / "image", padding=500_000)
    liar.lie(method, path, reply, times=2)
    assert client(liar.address).push(layout, descriptor, at(liar.address))
    assert liar.manifests[NAME, descriptor.digest][1] == layout.read(descriptor.digest)


def test_a_push_into_silence_ends(liar: LyingRegistry, tmp_path: Path) -> None:
    """A registry that takes a blob in and never answers is given up."""
    liar.lie("PUT", "uploads/", SILENCE)
    layout, descriptor = image(tmp_path / "image", layers=1)
    with pytest.raises(Transient, match="did not answer"):
        client(liar.address, timing=HASTY).push(layout, descriptor, at(liar.address))


def test_a_lost_upload_is_started_again(liar: LyingRegistry, tmp_path: Path) -> None:
    """An upload session that the registry forgot is replaced by a new one."""
    liar.lie("PUT", "uploads/", errors(404, "BLOB_UPLOAD_UNKNOWN", "no such upload"), times=1)
    layout, descriptor = image(tmp_path / "image", layers=1)
    assert client(liar.address).push(layout, descriptor, at(liar.address))


def test_head_that_says_yes_to_everything_is_found_out(liar: LyingRegistry, tmp_path: Path) -> None:
    """A registry that claims to have every blob gets them all once the manifest does not go in."""
    liar.lie("HEAD", "blobs/", Reply(status=200, headers={"Content-Length": "0"}))
    layout, descriptor = image(tmp_path / "image")

    def claim(asked: Asked) -> Reply:
        size = layout.blob(Digest(asked.path.rpartition("/")[2])).stat().st_size
        return Reply(status=200, headers={"Content-Length": str(size)})

    liar.honest()
    liar.lie("HEAD", "blobs/", claim)
    assert client(liar.address).push(layout, descriptor, at(liar.address))
    assert len([key for key in liar.blobs if key[0] == NAME]) == 3


@pytest.mark.parametrize("status", [404, 500])
def test_head_200_with_get_failing_is_never_published(liar: LyingRegistry, tmp_path: Path, status: int) -> None:
    """A blob that is listed and cannot be read fails the push, after it was sent once more."""
    layout, descriptor = image(tmp_path / "image", layers=1)
    client(liar.address).push(layout, descriptor, at(liar.address))
    layer = json.loads(layout.read(descriptor.digest))["layers"][0]["digest"]
    liar.asked.clear()
    liar.lie("GET", f"blobs/{layer}", Reply(status=status))
    with pytest.raises(Transient, match="cannot be read back") as raised:
        client(liar.address).push(layout, descriptor, at(liar.address))
    assert layer in str(raised.value)
    assert liar.count("POST", "uploads") == 3, "the configuration, unasked; then both again, in spite of HEAD"


def test_a_manifest_that_comes_back_otherwise_is_never_published(liar: LyingRegistry, tmp_path: Path) -> None:
    """A registry that gives back another manifest than was pushed, or an empty one, fails the push."""
    layout, descriptor = image(tmp_path / "image")
    for body in (b"", b'{"schemaVersion":2,"layers":[]}'):
        liar.honest()
        liar.lie("GET", f"manifests/{descriptor.digest}", Reply(status=200, headers=_KIND, body=body))
        with pytest.raises(Transient, match="cannot be read back"):
            client(liar.address).push(layout, descriptor, at(liar.address))


@pytest.mark.parametrize("status", [401, 403, 404, 405, 400])
@pytest.mark.parametrize("tokens", [0, 200, 401, 403])
def test_a_mount_that_is_denied_is_an_upload(liar: LyingRegistry, tmp_path: Path, status: int, tokens: int) -> None:
    """Who may not read there may push here: nothing of that is a question of the login."""
    challenge = {"WWW_Authenticate": f'Bearer realm="http://{liar.address}/token"'} if tokens else {}
    liar.lie("GET", "^/token$", Reply(status=tokens, body=b'{"token": "t"}'))
    refusal = errors(status, "DENIED", "unauthorized to access repository: other/base, action: pull", **challenge)
    liar.lie("POST", "uploads", lambda asked: refusal if "mount" in asked.query else liar.truth(asked))
    layout, descriptor = image(tmp_path / "image")
    layers = [Digest(entry["digest"]) for entry in json.loads(layout.read(descriptor.digest))["layers"]]
    pushing = client(liar.address, login=Login(username="u", password="p"))
    assert pushing.push(layout, descriptor, at(liar.address), mounts=dict.fromkeys(layers, "other/base"))
    assert liar.count("PUT", "uploads/") == len(layers) + 1


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_what_is_there_after_an_upload_counts(liar: LyingRegistry, tmp_path: Path, status: int) -> None:
    """Registries differ in the number that they answer; one that stored nothing is found out."""
    for method in ("POST", "PUT"):
        liar.lie(method, "/v2/", lambda asked: replace(liar.truth(asked), status=status))
    layout, descriptor = image(tmp_path / "image")
    assert client(liar.address).push(layout, descriptor, at(liar.address))
    liar.honest()
    liar.blobs.clear()
    liar.manifests.clear()
    liar.lie("PUT", "uploads", Reply(status=status))
    liar.lie("PUT", "manifests", Reply(status=status))
    with pytest.raises(Transient, match="was pushed and cannot be read back"):
        client(liar.address).push(layout, descriptor, at(liar.address))


@pytest.mark.parametrize("said", ["unknown layer media type", "manifest invalid", "mediaType is not supported"])
def test_a_registry_that_knows_no_zstd(liar: LyingRegistry, tmp_path: Path, said: str) -> None:
    """The remedy is named for layers of zstd, and only for them."""
    liar.lie("PUT", "manifests/", errors(400, "MANIFEST_INVALID", said))
    layout, descriptor = image(tmp_path / "image")
    with pytest.raises(ShipwayError) as raised:
        client(liar.address).push(layout, descriptor, at(liar.address))
    assert "compression: gzip" not in str(raised.value)
    value = json.loads(layout.read(descriptor.digest))
    for entry in value["layers"]:
        entry["mediaType"] = "application/vnd.oci.image.layer.v1.tar+zstd"
    packed = layout.add(json.dumps(value).encode(), descriptor.media_type)
    with pytest.raises(Misconfigured, match="cannot push") as raised:
        client(liar.address).push(layout, packed, at(liar.address))
    assert "compression: gzip" in raised.value.todo


def test_a_host_that_does_not_exist_is_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Its state is unknown, and nobody asks again: neither this client nor the engine."""
    with pytest.raises(Transient, match="its name is not known") as raised:
        client("nowhere.invalid").resolve(at("nowhere.invalid", "t"))
    assert raised.value.exit_code == Misconfigured.exit_code
    assert "trying again" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (errors(401, "UNAUTHORIZED", "who are you"), Misconfigured, "wants another login"),
        (errors(403, "DENIED", "requested access is denied"), Misconfigured, "not allowed"),
        (errors(404, "NAME_UNKNOWN", "project team not found"), Misconfigured, "create the project team"),
        (errors(403, "DENIED", "will exceed the configured upper limit of 1.0 GiB"), Misconfigured, "is full"),
        (errors(412, "PRECONDITION", "quota exceeded"), Misconfigured, "is full"),
        (errors(413, "DENIED", "exceeds the storage limit"), Misconfigured, "is full"),
        (Reply(status=413, body=b"<html>413 Request Entity Too Large</html>"), Misconfigured, "client_max_body_size"),
        (Reply(status=507), Misconfigured, "is full"),
        (errors(405, "UNSUPPORTED", "the operation is unsupported"), Misconfigured, "takes nothing in"),
        (errors(412, "PRECONDITION", "a policy forbids"), Refused, "a rule of the registry"),
    ],
    ids="401 403 project quota-403 quota-412 quota-413 proxy-413 507 read-only rule".split(),
)
def test_a_refused_push_says_what_to_do(
    liar: LyingRegistry, tmp_path: Path, reply: Reply, kind: type[ShipwayError], words: str
) -> None:
    """What Harbor and others answer is told in words, at once and without another try."""
    liar.lie("POST", "uploads", reply)
    layout, descriptor = image(tmp_path / "image", layers=0)
    with pytest.raises(kind) as raised:
        client(liar.address).push(layout, descriptor, at(liar.address))
    assert words in str(raised.value)
    assert liar.count("POST", "uploads") == 1


@pytest.mark.parametrize(
    "reply",
    [
        errors(412, "PRECONDITION", "configured as immutable"),
        errors(400, "TAG_INVALID", "cannot be overwritten because the repository is immutable"),
    ],
)
def test_an_immutable_tag_is_told(liar: LyingRegistry, tmp_path: Path, reply: Reply) -> None:
    """A tag that a rule of the registry keeps is a refusal that names the tag."""
    layout, descriptor = image(tmp_path / "image")
    here = client(liar.address)
    here.push(layout, descriptor, at(liar.address))
    liar.lie("PUT", "manifests/t$", reply)
    with pytest.raises(Refused, match="keeps that tag") as raised:
        here.tag(at(liar.address).with_digest(descriptor.digest), "t")
    assert f"{NAME}:t" in str(raised.value)


def test_a_refusal_cannot_write_to_the_terminal(liar: LyingRegistry) -> None:
    """Control characters in a registry's answer do not reach whoever reads the message."""
    liar.lie("GET", _MANIFEST, errors(403, "DENIED", "a\x1b[2J\r\nb\u202e" + "x" * 10_000))
    with pytest.raises(Misconfigured) as raised:
        client(liar.address).resolve(at(liar.address, "t"))
    assert not set("\x1b\r\u202e") & set(str(raised.value))
    assert len(str(raised.value)) < 1500


def test_an_image_that_is_not_whole_is_not_pushed(liar: LyingRegistry, tmp_path: Path) -> None:
    """A layout without one of its blobs, or with a cut one, is refused before anything is asked."""
    layout, descriptor = image(tmp_path / "image")
    layer = layout.blob(Digest(json.loads(layout.read(descriptor.digest))["layers"][0]["digest"]))
    layer.write_bytes(b"x")
    with pytest.raises(ShipwayError, match="not whole"):
        client(liar.address).push(layout, descriptor, at(liar.address))
    layer.unlink()
    with pytest.raises(ShipwayError, match="not whole"):
        client(liar.address).push(layout, descriptor, at(liar.address))
    assert liar.asked == []


def test_a_damaged_layer_is_not_sent_for_ever(liar: LyingRegistry, tmp_path: Path) -> None:
    """A layer of the right size and another content is the build's fault, not the network's."""
    layout, descriptor = image(tmp_path / "image", layers=1)
    layer = layout.blob(Digest(json.loads(layout.read(descriptor.digest))["layers"][0]["digest"]))
    layer.write_bytes(b"x" * layer.stat().st_size)
    with pytest.raises(ShipwayError, match="cannot push") as raised:
        client(liar.address).push(layout, descriptor, at(liar.address))
    assert "damaged" in str(raised.value)
    assert not isinstance(raised.value, Transient)


def test_a_tag_needs_an_image(liar: LyingRegistry) -> None:
    """A tag is not set on what the registry does not have."""
    with pytest.raises(Misuse, match="not in the registry"):
        client(liar.address).tag(at(liar.address).with_digest("sha256:" + "0" * 64), "t")


# --- logins, tokens and redirects ---


def token_server(liar: LyingRegistry, login: str, scopes: set[str], lifetime: int = 300) -> list[Asked]:
    """Have the registry want tokens from its own /token, and return the list of the requests there."""
    asked_for: list[Asked] = []

    def give(asked: Asked) -> Reply:
        asked_for.append(asked)
        given = asked.headers.get("authorization", "")
        form = parse_qs(asked.body.decode())
        if login and given != f"Basic {login}" and form.get("refresh_token") != [login]:
            return errors(401, "UNAUTHORIZED", "wrong login")
        wanted = asked.query.get("scope", []) or form.get("scope", [""])[0].split()
        granted = [scope for scope in wanted if scope in scopes]
        token = base64.b64encode(json.dumps([len(asked_for), granted]).encode()).decode()
        return Reply(status=200, body=json.dumps({"token": token, "expires_in": lifetime}).encode())

    def guard(asked: Asked) -> Reply:
        kind, _, token = asked.headers.get("authorization", "").partition(" ")
        access = "push" if asked.method in {"PUT", "POST"} else "pull"
        number, granted = json.loads(base64.b64decode(token)) if kind == "Bearer" else (0, [])
        fits = any(NAME in scope and access in scope.rpartition(":")[2] for scope in granted)
        if fits and number not in revoked:
            return liar.truth(asked)
        challenge = f'Bearer realm="http://{liar.address}/token",service="the registry",scope="repository:x:pull"'
        return errors(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=challenge)

    revoked: set[int] = set()
    liar.lie("GET|POST", "^/token$", give)
    liar.lie("GET|HEAD|PUT|POST", "^/v2/", guard)
    liar.revoked = revoked  # type: ignore[attr-defined]
    return asked_for


def basic(text: str) -> str:
    """Return the credentials of a Basic header."""
    return base64.b64encode(text.encode()).decode()


PUSH_SCOPE = f"repository:{NAME}:pull,push"
PULL_SCOPE = f"repository:{NAME}:pull"


def test_tokens_are_fetched_once_for_each_scope(liar: LyingRegistry, tmp_path: Path) -> None:
    """A push, its tag and a look at it get along with one token, asked for with the login and the service."""
    asked = token_server(liar, basic("robot$ci:a:b"), {PUSH_SCOPE, PULL_SCOPE})
    layout, descriptor = image(tmp_path / "image", layers=6)
    here = client(liar.address, login=Login(username="robot$ci", password="a:b"))
    assert here.push(layout, descriptor, at(liar.address))
    here.tag(at(liar.address).with_digest(descriptor.digest), "t")
    assert here.resolve(at(liar.address, "t")) is not None
    assert [a.query["scope"] for a in asked] == [[PUSH_SCOPE]]
    assert {a.query["service"][0] for a in asked} == {"the registry"}
    assert {a.query["account"][0] for a in asked} == {"robot$ci"}


def test_anonymous_tokens_are_fetched_without_a_login(liar: LyingRegistry) -> None:
    """A public image is read with a token that nobody logged in for."""
    asked = token_server(liar, "", {PULL_SCOPE})
    assert client(liar.address).resolve(at(liar.address, "t")) is None
    assert [("authorization" in a.headers, "account" in a.query) for a in asked] == [(False, False)]


def test_identity_tokens_are_exchanged(liar: LyingRegistry) -> None:
    """A login by identity token gets its tokens by the OAuth2 form, its secret in the body alone."""
    asked = token_server(liar, "refresh-me", {PULL_SCOPE})
    assert client(liar.address, login=Login(identity_token="refresh-me")).resolve(at(liar.address, "t")) is None
    assert [a.method for a in asked] == ["POST"]
    assert "refresh-me" not in str(asked[0].query)


def test_an_expired_token_is_replaced(liar: LyingRegistry) -> None:
    """A token that the registry stopped taking is fetched again, once."""
    asked = token_server(liar, "", {PULL_SCOPE})
    here = client(liar.address)
    here.resolve(at(liar.address, "t"))
    liar.revoked.add(1)  # type: ignore[attr-defined]
    assert here.resolve(at(liar.address, "t")) is None
    assert len(asked) == 2


def test_a_token_without_the_right_is_refused_at_once(liar: LyingRegistry, tmp_path: Path) -> None:
    """A user who may pull and not push is told so; the upload is not tried again and again."""
    token_server(liar, basic("u:p"), {PULL_SCOPE})
    layout, descriptor = image(tmp_path / "image")
    with pytest.raises(Misconfigured, match="login") as raised:
        client(liar.address, login=Login(username="u", password="p")).push(layout, descriptor, at(liar.address))
    assert "as u" in str(raised.value)
    assert liar.count("POST", "uploads") == 0


@pytest.mark.parametrize(("reply", "kind"), [(401, Misconfigured), (500, Transient), (200, Transient)])
def test_a_token_server_that_fails(liar: LyingRegistry, reply: int, kind: type[ShipwayError]) -> None:
    """A refused login is a setting; a token server that is down, or gives no token, is worth another try."""
    token_server(liar, "", {PULL_SCOPE})
    liar._lies.insert(0, liar._lies.pop(0))
    liar.lie("GET", "^/token$", Reply(status=reply))
    liar._lies.insert(0, liar._lies.pop())
    with pytest.raises(kind, match="token server"):
        client(liar.address).resolve(at(liar.address, "t"))


def test_a_token_server_without_tls_gets_no_login(liar: LyingRegistry) -> None:
    """A registry cannot send a login over plain HTTP to a host that is not listed for it."""
    challenge = 'Bearer realm="http://tokens.example/token",service="s"'
    liar.lie("GET", "^/v2/", errors(401, "UNAUTHORIZED", "no", WWW_Authenticate=challenge))
    with pytest.raises(Misconfigured, match="leaves TLS"):
        client(liar.address, login=Login(username="u", password="p")).resolve(at(liar.address, "t"))


def test_a_redirect_to_another_host_carries_no_login(tmp_path: Path) -> None:
    """A blob store that the registry sends us to never sees
    the registry's login, nor a challenge of its own answered.
    """
    layout, descriptor = image(tmp_path / "image", layers=1)
    login = Login(username="u", password="p")
    with lying_registry() as front, lying_registry() as store:
        client(front.address).push(layout, descriptor, at(front.address))
        client(store.address).push(layout, descriptor, at(store.address))
        store.asked.clear()
        front.lie(
            "GET",
            "/blobs/",
            lambda asked: Reply(status=307, headers={"Location": f"http://{store.address}{asked.path}?signed=1"}),
        )
        here = client(front.address, store.address, login=Login(username="u", password="p"))
        front.lie("GET", _MANIFEST, _challenge_once(front))
        here.pull(
            at(front.address).with_digest(descriptor.digest), Layout.create(tmp_path / "a"), platform="linux/amd64"
        )
        assert any(a.headers.get("authorization") == login.basic for a in front.asked), "the login was in use"
        assert store.count("GET", "/blobs/") == 2
        assert not any("authorization" in a.headers for a in store.asked)
        store.lie("GET", "", errors(401, "UNAUTHORIZED", "your password, please", WWW_Authenticate="Basic realm=x"))
        with pytest.raises(Misconfigured):
            here.pull(
                at(front.address).with_digest(descriptor.digest), Layout.create(tmp_path / "b"), platform="linux/amd64"
            )
        assert not any("authorization" in a.headers for a in store.asked)


def _challenge_once(liar: LyingRegistry):  # type: ignore[no-untyped-def]
    def guard(asked: Asked) -> Reply:
        if "authorization" in asked.headers:
            return liar.truth(asked)
        return errors(401, "UNAUTHORIZED", "who are you", WWW_Authenticate='Basic realm="x"')

    return guard


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/x", "http://metadata.example/", "ftp://x.example/", "file:///etc"]
)
def test_a_redirect_out_of_tls_is_not_followed(liar: LyingRegistry, location: str) -> None:
    """A registry cannot send us to hosts that the deployment does not speak plain HTTP to."""
    liar.lie("GET", _MANIFEST, Reply(status=302, headers={"Location": location}))
    with pytest.raises(Misconfigured, match="leaves TLS"):
        client(liar.address).resolve(at(liar.address, "t"))


@pytest.mark.parametrize("location", ["https://[token/", "//[x/y"])
def test_an_address_that_is_none_is_unknown(liar: LyingRegistry, tmp_path: Path, location: str) -> None:
    """Of a token server, of a redirect and of an upload."""
    layout, descriptor = image(tmp_path / "image")
    place, here = at(liar.address, "t"), client(liar.address)
    liar.lie("GET", _MANIFEST, Reply(status=302, headers={"Location": location}), times=5)
    with pytest.raises(Transient, match=r"a redirect of .* leads to an invalid address"):
        here.resolve(place)
    liar.lie("POST", "uploads", Reply(status=202, headers={"Location": location}))
    with pytest.raises(Transient, match=r"an upload to .* leads to an invalid address"):
        here.push(layout, descriptor, place)
    liar.lie("GET", _MANIFEST, errors(401, "UNAUTHORIZED", "no", WWW_Authenticate=f'Bearer realm="{location}"'))
    with pytest.raises(Transient, match=r"the token server of .* leads to an invalid address"):
        here.resolve(place)


def test_a_fragment_is_no_part_of_an_upload(liar: LyingRegistry, tmp_path: Path) -> None:
    """What comes behind # stays here; the digest stands before it."""

    def start(asked: Asked) -> Reply:
        true = liar.truth(asked)
        return replace(true, headers={"Location": f"{true.headers['Location']}#part"})

    liar.lie("POST", "uploads", start)
    layout, descriptor = image(tmp_path / "image")
    assert client(liar.address).push(layout, descriptor, at(liar.address))


def test_redirects_without_end_are_unknown(liar: LyingRegistry) -> None:
    """A registry that sends us round and round gives no answer."""
    liar.lie("GET", _MANIFEST, lambda asked: Reply(status=302, headers={"Location": asked.path}))
    with pytest.raises(Transient, match="cannot read"):
        client(liar.address).resolve(at(liar.address, "t"))


def test_an_upload_elsewhere_carries_no_login(tmp_path: Path) -> None:
    """An upload that the registry wants at another host goes there without the registry's login."""
    layout, descriptor = image(tmp_path / "image", layers=1)
    with lying_registry() as front, lying_registry() as store:

        def start(asked: Asked) -> Reply:
            return Reply(status=202, headers={"Location": f"http://{store.address}/v2/{NAME}/blobs/uploads/1"})

        front.lie("POST", "uploads", start)
        front.lie("HEAD|GET|PUT", "", _challenge_once(front))
        here = client(front.address, store.address, login=Login(username="u", password="p"))
        store.lie("PUT", "uploads", lambda asked: _put_into(front, store, asked))
        assert here.push(layout, descriptor, at(front.address))
        assert store.count("PUT", "uploads") == 2
        assert not any("authorization" in a.headers for a in store.asked)


def _put_into(front: LyingRegistry, store: LyingRegistry, asked: Asked) -> Reply:
    reply = store.truth(asked)
    front.blobs |= store.blobs
    return reply


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer realm="https://a/t",service="s"', {"bearer": {"realm": "https://a/t", "service": "s"}}),
        ("Basic realm=x", {"basic": {"realm": "x"}}),
        (
            'Basic realm="a, b", Bearer realm="q\\"t", scope="r:x:pull,push"',
            {"basic": {"realm": "a, b"}, "bearer": {"realm": 'q"t', "scope": "r:x:pull,push"}},
        ),
        ("Negotiate, Basic realm=x", {"basic": {"realm": "x"}}),
        ("", {}),
        ("=,=", {}),
    ],
)
def test_challenges_are_read(header: str, expected: dict[str, dict[str, str]]) -> None:
    """Every challenge that a registry may send is found, quoted commas and several schemes with it."""
    found = challenges(header)
    assert {scheme: found[scheme] for scheme in expected} == expected


# --- pulling ---


def serve_index(liar: LyingRegistry, folder: Path, platforms: list[str]) -> tuple[dict[str, Descriptor], Digest]:
    """Put an image for each platform into the registry, and an index of them under the tag `t`."""
    made = {}
    for platform in platforms:
        layout, made[platform] = image(
            folder / platform.replace("/", "-"), platform, architecture=platform.split("/")[1]
        )
        client(liar.address).push(layout, made[platform], at(liar.address))
    data = index_of(made)
    liar.manifests[NAME, "t"] = (INDEX, data)
    return made, Digest.of(data)


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/arm64", "linux/arm64/v8"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/arm", "linux/arm/v7"),
    ],
)
def test_an_index_gives_the_platform_asked_for(liar: LyingRegistry, tmp_path: Path, asked: str, chosen: str) -> None:
    """Of an index, the image of one platform is fetched, and both digests are told."""
    platforms = ["linux/arm/v6", "linux/arm/v7", "linux/amd64", "linux/arm64/v8", "unknown/unknown"]
    made, index = serve_index(liar, tmp_path, platforms)
    pulled = client(liar.address).pull(at(liar.address, "t"), Layout.create(tmp_path / "copy"), platform=asked)
    assert (pulled.resolved, pulled.descriptor) == (index, made[chosen])
    assert len(list((tmp_path / "copy/blobs/sha256").iterdir())) == 4


@pytest.mark.parametrize("asked", ["linux/arm64", "linux/s390x"])
def test_an_entry_without_a_platform_is_read_by_its_configuration(
    liar: LyingRegistry, tmp_path: Path, asked: str
) -> None:
    """Other builders write such indexes; an entry that names the platform goes first."""
    made, _ = serve_index(liar, tmp_path, ["linux/riscv64", "linux/amd64", "linux/arm64", "linux/s390x"])
    index = json.loads(index_of(made))
    for entry in index["manifests"][:3]:
        del entry["platform"]
    liar.manifests[NAME, "t"] = (INDEX, json.dumps(index).encode())
    liar.asked.clear()
    pulled = client(liar.address).pull(at(liar.address, "t"), Layout.create(tmp_path / "copy"), platform=asked)
    assert pulled.descriptor == made[asked]
    assert liar.count("GET", "manifests/") == (5 if asked == "linux/arm64" else 2)
    with pytest.raises(Refused, match="linux/386") as raised:
        client(liar.address).pull(at(liar.address, "t"), Layout.create(tmp_path / "copy"), platform="linux/386")
    assert "it has linux/amd64, linux/arm64, linux/riscv64, linux/s390x\n" in str(raised.value)


def test_a_missing_platform_names_those_there(liar: LyingRegistry, tmp_path: Path) -> None:
    """An image that does not run here is refused, with the platforms that it has."""
    serve_index(liar, tmp_path, ["linux/amd64", "linux/arm64/v8", "unknown/unknown"])
    with pytest.raises(Refused, match="linux/s390x") as raised:
        client(liar.address).pull(at(liar.address, "t"), Layout.create(tmp_path / "copy"), platform="linux/s390x")
    assert "it has linux/amd64, linux/arm64/v8\n" in str(raised.value)


def test_an_image_of_another_platform_is_refused(liar: LyingRegistry, tmp_path: Path) -> None:
    """An image without an index is checked by its own configuration."""
    layout, descriptor = image(tmp_path / "image", architecture="riscv64")
    client(liar.address).push(layout, descriptor, at(liar.address))
    with pytest.raises(Refused, match="linux/amd64") as raised:
        client(liar.address).pull(
            at(liar.address).with_digest(descriptor.digest), Layout.create(tmp_path / "copy"), platform="linux/amd64"
        )
    assert "linux/riscv64" in str(raised.value)


def test_an_absent_image_is_told(liar: LyingRegistry, tmp_path: Path) -> None:
    """An image that does not exist is no transient failure."""
    with pytest.raises(ShipwayError, match="there is no image") as raised:
        client(liar.address).pull(at(liar.address, "t"), Layout.create(tmp_path / "copy"), platform="linux/amd64")
    assert not isinstance(raised.value, Transient)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=200, body=b"other content"),
        Reply(status=200, body=b""),
        Reply(status=200, body=b"content 0", cut=3),
        Reply(status=200, body=b"content 0 and more"),
        errors(404, "BLOB_UNKNOWN", "gone"),
        Reply(status=500),
    ],
    ids="other empty cut longer missing 500".split(),
)
def test_a_blob_that_is_not_what_its_digest_says_is_unknown(liar: LyingRegistry, tmp_path: Path, reply: Reply) -> None:
    """A layer that comes cut, changed or not at all never gets into the layout."""
    layout, descriptor = image(tmp_path / "image", layers=1)
    client(liar.address).push(layout, descriptor, at(liar.address))
    layer = Digest(json.loads(layout.read(descriptor.digest))["layers"][0]["digest"])
    ref = at(liar.address).with_digest(descriptor.digest)
    copy = Layout.create(tmp_path / "copy")
    liar.lie("GET", f"blobs/{layer}", reply, times=2)
    with pytest.raises(Transient):
        client(liar.address, timing=Timing(attempts=2, backoff_seconds=0.001)).pull(ref, copy, platform="linux/amd64")
    assert not copy.has(layer)
    assert not list((tmp_path / "copy/blobs").glob("partial-*"))
    client(liar.address).pull(ref, copy, platform="linux/amd64")
    assert copy.has(layer)


def test_blobs_in_the_layout_are_kept(liar: LyingRegistry, tmp_path: Path) -> None:
    """What an earlier pull brought is not fetched again."""
    layout, descriptor = image(tmp_path / "image")
    client(liar.address).push(layout, descriptor, at(liar.address))
    ref = at(liar.address).with_digest(descriptor.digest)
    copy = Layout.create(tmp_path / "copy")
    client(liar.address).pull(ref, copy, platform="linux/amd64")
    liar.asked.clear()
    client(liar.address).pull(ref, copy, platform="linux/amd64")
    assert liar.count("GET", "blobs/") == 0


# --- mirrors ---


def test_a_mirror_goes_first(tmp_path: Path) -> None:
    """A mirror that has the image serves it, under the path that the setting names, and the registry is not asked."""
    layout, descriptor = image(tmp_path / "image")
    with lying_registry() as origin, lying_registry() as mirror:
        here = client(origin.address, mirror.address, mirrors={origin.address: f"{mirror.address}/proxy/hub"})
        here.push(layout, descriptor, Reference(registry=mirror.address, repository=f"proxy/hub/{NAME}"))
        here.tag(Reference(registry=mirror.address, repository=f"proxy/hub/{NAME}", digest=descriptor.digest), "t")
        pulled = here.pull(at(origin.address, "t"), Layout.create(tmp_path / "copy"), platform="linux/amd64")
        assert pulled.descriptor == descriptor
        assert here.resolve(at(origin.address, "t"), mirrored=True) is not None
        assert origin.asked == []
        assert here.resolve(at(origin.address, "t")) is None, "without `mirrored`, the registry itself is asked"


@pytest.mark.parametrize(
    "reply", [None, Reply(status=502), RESET, Reply(status=200)], ids="absent 502 reset half".split()
)
def test_the_registry_itself_stands_in_for_its_mirror(tmp_path: Path, reply: Reply | None) -> None:
    """A mirror that has not the image, or is not well, is no reason to fail."""
    layout, descriptor = image(tmp_path / "image")
    with lying_registry() as origin, lying_registry() as mirror:
        here = client(origin.address, mirror.address, mirrors={origin.address: mirror.address})
        here.push(layout, descriptor, at(origin.address))
        if reply:
            mirror.lie("GET", "", reply)
        ref = at(origin.address).with_digest(descriptor.digest)
        assert here.resolve(ref, mirrored=True) is not None
        assert here.pull(ref, Layout.create(tmp_path / "copy"), platform="linux/amd64").descriptor == descriptor
        assert mirror.asked or reply is RESET


def test_a_mirror_that_lies_is_not_believed(tmp_path: Path) -> None:
    """A mirror cannot put other content under a digest."""
    layout, descriptor = image(tmp_path / "image")
    other, forged = image(tmp_path / "other", "forged")
    with lying_registry() as origin, lying_registry() as mirror:
        here = client(origin.address, mirror.address, mirrors={origin.address: mirror.address})
        here.push(layout, descriptor, at(origin.address))
        here.push(other, forged, at(mirror.address))
        mirror.manifests[NAME, descriptor.digest] = mirror.manifests[NAME, forged.digest]
        pulled = here.pull(
            at(origin.address).with_digest(descriptor.digest), Layout.create(tmp_path / "copy"), platform="linux/amd64"
        )
        assert pulled.descriptor == descriptor


def test_a_mirror_that_refuses_the_login_is_told(tmp_path: Path) -> None:
    """A mirror with a wrong login is a setting to correct, not passed over in silence."""
    with lying_registry() as origin, lying_registry() as mirror:
        here = client(origin.address, mirror.address, mirrors={origin.address: mirror.address})
        mirror.lie("GET", "", errors(403, "DENIED", "no"))
        with pytest.raises(Misconfigured, match=mirror.address):
            here.resolve(at(origin.address, "t"), mirrored=True)


def test_a_mirror_without_a_valid_address_is_told(liar: LyingRegistry) -> None:
    """A setting `mirrors` that no address can be made of is named."""
    here = client(liar.address, mirrors={liar.address: "https://mirror.example"})
    with pytest.raises(Misconfigured, match="mirror"):
        here.resolve(at(liar.address, "t"), mirrored=True)
