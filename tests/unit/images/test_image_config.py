"""What of a builder's words and state may reach an image's configuration and manifest: nothing but the Dockerfile's."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import ShipwayError
from pipelines.images import image_config
from pipelines.images.image_config import BaseImage, ImageFacts
from pipelines.images.layer_cache import MARK
from pipelines.tools.git.address import public_address
from pipelines.tools.registry.layout import CONFIG, LAYER, Descriptor, Json
from pipelines.tools.registry.reference import Digest

OCI = "org.opencontainers.image."
FACTS = ImageFacts(
    time=1_700_000_000,
    revision="c" * 40,
    source="https://forge.example/team/app",
    name="app",
    version="1.0",
    platform="linux/arm/v7",
    labels={},
    aliases={"shipway.invalid/base:abc": "base:${TAG}"},
)


def layers(count: int) -> list[str]:
    """Return that many digests."""
    return [f"sha256:{number:064x}" for number in range(1, count + 1)]


def built(history: list[Json], count: int, **fields: object) -> Json:
    """Return a configuration as builders write it."""
    return {
        "architecture": "amd64",
        "os": "linux",
        "container": "random",
        "moby.buildkit.cache.v0": "state",
        "config": {"Hostname": "random", **fields},
        "rootfs": {"type": "layers", "diff_ids": layers(count)},
        "history": history,
    }


def base(count: int = 1, **fields: object) -> BaseImage:
    """Return a base with that many layers."""
    history = [{"created": "2001-01-01T00:00:00Z", "created_by": f"base {n}"} for n in range(count)]
    config = {"config": fields, "rootfs": {"type": "layers", "diff_ids": layers(count)}, "history": history}
    return BaseImage(name="docker.io/library/base:1", digest=Digest("sha256:" + "b" * 64), config=config)


BUILDAH: list[Json] = [
    {"created": "2001-01-01T00:00:00Z", "created_by": "base 0"},
    {"created": "2020-02-02T00:00:00Z", "created_by": f"/bin/sh -c #(nop) LABEL {MARK}=1", "empty_layer": True},
    {"created_by": "/bin/sh -c #(nop) ENV A=1", "comment": "FROM 0123456789ab", "empty_layer": True},
    {"created_by": "|2 A=x B=y /bin/sh -c make all", "comment": "FROM 0123456789ab"},
    {"created_by": "/bin/sh -c #(nop) COPY file:" + "0" * 64 + " in /srv ", "author": "someone"},
    {"created_by": "/bin/sh -c --mount=from=shipway.invalid/base:abc,target=/t true"},
]
BUILDKIT: list[Json] = [
    {"created": "2001-01-01T00:00:00Z", "created_by": "base 0"},
    {
        "created": "2020-02-02T00:00:00Z",
        "created_by": "ENV A=1",
        "comment": "buildkit.dockerfile.v0",
        "empty_layer": True,
    },
    {"created_by": "RUN |2 A=x B=y /bin/sh -c make all # buildkit", "comment": "buildkit.dockerfile.v0"},
]


def test_history_of_buildah() -> None:
    """Only the instructions stay: no digest of a parent, no argument's value, no mark, no clock."""
    history = image_config.image_config(built(BUILDAH, 4), base(), FACTS)["history"]
    assert history[0] == BUILDAH[0], "the base's own history is the base's"
    assert [entry["created_by"] for entry in history[1:]] == [
        "ENV A=1",
        "RUN make all",
        "COPY … /srv",
        "RUN --mount=from=base:${TAG},target=/t true",
    ]
    assert {entry["created"] for entry in history[1:]} == {"1980-01-01T00:00:00Z"}
    assert {key for entry in history for key in entry} == {"created", "created_by", "empty_layer"}
    assert [entry.get("empty_layer", False) for entry in history] == [False, True, False, False, False]


def test_history_of_buildkit() -> None:
    """BuildKit's remarks go, its words stay."""
    history = image_config.image_config(built(BUILDKIT, 2), base(), FACTS)["history"]
    assert [entry["created_by"] for entry in history[1:]] == ["ENV A=1", "RUN make all"]


def test_history_fits_the_layers() -> None:
    """A base without a history gives one that still has an entry for each layer."""
    silent = base()
    silent.config["history"] = []
    config = image_config.image_config(built(BUILDKIT[2:], 2), silent, FACTS)
    assert sum(not entry.get("empty_layer") for entry in config["history"]) == 2
    with pytest.raises(ShipwayError, match="history does not fit"):
        image_config.image_config(built(BUILDKIT, 7), None, FACTS)


def test_fields() -> None:
    """What a Dockerfile sets is kept as it is; what only a builder would know is not there."""
    fields = {
        "User": "5",
        "Env": ["B=1", "A=2"],
        "Cmd": ["x"],
        "Entrypoint": [],
        "WorkingDir": "/",
        "ExposedPorts": {"80/tcp": {}},
        "OnBuild": ["RUN x"],
        "AttachStdin": False,
    }
    config = image_config.image_config(built(BUILDKIT, 2, **fields), base(Shell=["/bin/bash", "-c"]), FACTS)
    kept = config["config"]
    del kept["Labels"]
    assert kept == {
        "User": "5",
        "Env": ["B=1", "A=2"],
        "Cmd": ["x"],
        "ExposedPorts": {"80/tcp": {}},
        "OnBuild": ["RUN x"],
        "Shell": ["/bin/bash", "-c"],
    }
    assert set(config) == {"architecture", "variant", "os", "created", "config", "rootfs", "history"}
    assert (config["architecture"], config["variant"], config["created"]) == ("arm", "v7", "2023-11-14T22:13:20Z")


def test_labels() -> None:
    """ImageFacts beat the user's labels, those beat the Dockerfile's, those beat what is derived; a base's go stale."""
    inherited = {
        OCI + "title": "the base",
        OCI + "source": "https://base.example",
        "kept": "base",
        OCI + "version": "9",
    }
    own = {
        **inherited,
        OCI + "version": "from the Dockerfile",
        "mine": "dockerfile",
        "io.buildah.version": "1",
        MARK: "x",
    }
    facts = replace(FACTS, source="", labels={"mine": "user", OCI + "revision": "lie"})
    labels = image_config.image_config(built(BUILDKIT, 2, Labels=own), base(Labels=inherited), facts)["config"][
        "Labels"
    ]
    assert labels == {
        "kept": "base",
        "mine": "user",
        OCI + "title": "app",
        OCI + "version": "from the Dockerfile",
        OCI + "ref.name": "app:1.0",
        OCI + "created": "2023-11-14T22:13:20Z",
        OCI + "revision": "c" * 40,
        OCI + "base.name": "docker.io/library/base:1",
        OCI + "base.digest": "sha256:" + "b" * 64,
    }


def test_manifest() -> None:
    """The manifest says the same, and of an image from scratch it names no base."""
    one = Descriptor(media_type=CONFIG, digest=Digest("sha256:" + "1" * 64), size=1)
    layer = Descriptor(media_type=LAYER, digest=Digest("sha256:" + "2" * 64), size=2)
    manifest = image_config.manifest(one, [layer], None, FACTS)
    assert manifest["layers"] == [{"mediaType": LAYER, "digest": "sha256:" + "2" * 64, "size": 2}]
    assert sorted(key.removeprefix(OCI) for key in manifest["annotations"]) == [
        "created",
        "ref.name",
        "revision",
        "source",
        "title",
        "version",
    ]


def test_base_of() -> None:
    """An image depends on the one with the most of its layers, not on one that it only copied from."""
    small, large, other = base(1), base(3), base(2)
    other.config["rootfs"]["diff_ids"] = ["sha256:" + "f" * 64]
    empty = base(0)
    assert image_config.base_of(layers(4), [other, small, empty, large]) is large
    assert image_config.base_of(layers(2), [other, small, large]) is small
    assert image_config.base_of(["sha256:" + "e" * 64], [small, empty]) is None


@pytest.mark.parametrize(
    ("repository", "address"),
    [
        ("https://user:pass@forge.example/a/b.git", "https://forge.example/a/b"),
        ("https://forge.example:8443/a/b/", "https://forge.example:8443/a/b"),
        ("http://[::1]:3000/a/b", "http://[::1]:3000/a/b"),
        ("git@forge.example:a/b.git", "https://forge.example/a/b"),
        ("ssh://git@forge.example:2222/a/b", "https://forge.example/a/b"),
        ("/home/someone/repo", ""),
        ("file:///home/someone/repo", ""),
        ("../repo", ""),
        ("https://forge.example:99999999/a/b", ""),
        ("https://[forge.example/a/b", ""),
    ],
)
def test_public_address(repository: str, address: str) -> None:
    """An address without user, password or anything that only one machine knows."""
    assert public_address(repository) == address


@given(
    st.recursive(
        st.text() | st.integers() | st.booleans(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=10
    )
)
def test_canonical(value: object) -> None:
    """Equal values are written as equal bytes, whatever the order they were made in."""
    wrapped = {"value": value, "a": 1}
    assert image_config.canonical(wrapped) == image_config.canonical({"a": 1, "value": value})
    assert json.loads(image_config.canonical(wrapped)) == wrapped
