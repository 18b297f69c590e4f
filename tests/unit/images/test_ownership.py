"""Who may publish under a name that somebody's image has."""

from __future__ import annotations

import json

import pytest

from pipelines.errors import Refused
from pipelines.images import ownership
from pipelines.images.ownership import Publisher
from pipelines.images.registry_state import (
    REVISION,
    SOURCE,
    PreviousImage,
    RegistryState,
    TagState,
)
from pipelines.tools.registry.layout import MANIFEST, Descriptor
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Digest, Reference

SHOP = "https://git.example/team/shop"
OTHER = "https://git.example/other/shop"


@pytest.mark.parametrize(
    ("repo", "source"),
    [
        (f"{SHOP}.git", SHOP),
        ("http://git.example/team/shop/.git", "http://git.example/team/shop/"),
        (f"{SHOP}.git.git", f"{SHOP}.git"),
        ("ssh://git@git.example/team/shop.git", SHOP),
        ("ssh://git@git.example:2222/team/shop.git", SHOP),
        ("git@git.example:team/shop.git", SHOP),
        ("http://git.example/team/shop", SHOP),
        ("https://GIT.Example/team/shop/", SHOP),
        ("https://user@git.example/team/shop", f"{SHOP}.git"),
        (SHOP, ""),
        (SHOP, "somebody's laptop"),
        ("/srv/shop", ""),
        ("file:///srv/shop", ""),
    ],
)
def test_a_repository_publishes_under_its_own_names_and_under_nobodys(repo: str, source: str) -> None:
    """Host and path say which repository it is; an image that names no public address is nobody's."""
    assert Publisher(repo=repo).other("web", [source]) == ""


@pytest.mark.parametrize(
    ("repo", "source"),
    [
        (SHOP, OTHER),
        (SHOP, "https://git.example:8443/team/shop"),
        (SHOP, "https://git.example/Team/shop"),
        (SHOP, "git@elsewhere.example:team/shop.git"),
        ("/srv/shop", SHOP),
        ("file:///srv/shop", SHOP),
        ("", SHOP),
    ],
)
def test_another_repositorys_name_is_not_taken(repo: str, source: str) -> None:
    """Another host, port or path is another repository; a folder takes nothing from a repository."""
    assert Publisher(repo=repo).other("web", ["", source, SHOP]) == source


@pytest.mark.parametrize(
    ("formerly", "shared", "taken"),
    [
        (["git@git.example:other/shop.git"], "", False),
        (["https://git.example/other/shops"], "", True),
        (["/srv/other"], "", True),
        ([], "web", False),
        ([], "api, web", False),
        ([], "any", False),
        ([], "webs,api", True),
        ([], "*", True),
    ],
)
def test_earlier_addresses_and_shared_names_are_let_through(formerly: list[str], shared: str, *, taken: bool) -> None:
    """Each by itself, and nothing that merely looks like it."""
    publisher = Publisher(repo=SHOP, formerly=tuple(formerly), shared=shared)
    assert publisher.other("web", [OTHER]) == (OTHER if taken else "")


def manifest(annotations: dict[str, str]) -> Manifest:
    """Return a manifest with annotations."""
    data = json.dumps({"config": {}, "layers": [], "annotations": annotations}).encode()
    return Manifest(descriptor=Descriptor(media_type=MANIFEST, digest=Digest.of(data), size=len(data)), data=data)


def test_a_source_counts_beside_a_revision_alone() -> None:
    """`helm push` writes the first of a chart's own sources, which are whatever its author says."""
    assert ownership.of_manifest(manifest({SOURCE: OTHER, REVISION: "1"})) == OTHER
    assert ownership.of_manifest(manifest({SOURCE: OTHER})) == ""
    assert ownership.of_manifest(manifest({REVISION: "1"})) == ""


def test_a_refusal_names_both_repositories() -> None:
    """And the tag, and what can be done."""
    reference = Reference(registry="r.example", repository="team/web", tag="main")
    with pytest.raises(Refused) as caught:
        Publisher(repo="git@git.example:team/shop.git").require(reference, OTHER)
    assert caught.value.exit_code == 3
    assert caught.value.what == "the name r.example/team/web belongs to another repository"
    assert caught.value.seen == f"the tag main was published from {OTHER}, not from {SHOP}"
    assert "`formerly`" in caught.value.todo
    assert "`shared-names`" in caught.value.todo


@pytest.mark.parametrize("where", ["key", "tag", "previous"])
def test_each_image_that_a_plan_reads_has_a_say(where: str) -> None:
    """The key, the tags that are to move, and the earlier image; those of other names have none."""
    state = TagState(digest=f"sha256:{'0' * 64}", annotations={SOURCE: OTHER, REVISION: "1"})
    earlier = PreviousImage(tag="main", revision="1", base_name="", base_digest="", source=OTHER)
    registry = RegistryState(
        keys={"web": state} if where == "key" else {},
        tags={("web", "main"): state} if where == "tag" else {},
        previous={"web": earlier} if where == "previous" else {},
    )
    assert Publisher(repo=SHOP).other("web", registry.sources("web")) == OTHER
    assert Publisher(repo=SHOP).other("api", registry.sources("api")) == ""
