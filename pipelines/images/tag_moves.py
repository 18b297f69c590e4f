"""Tags moved so that runs in any order, side by side or killed half-way, leave them right.

Nothing here locks. Each rule compares what a tag names with what it should name by the state of the world, moves it, and
looks again: whoever wrote last has seen everything that was written before, and puts it right.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import semver

from pipelines.errors import Refused, Transient
from pipelines.images import tag_names
from pipelines.images.registry_state import RENEWAL, RENEWED_FOR, TagState
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Digest, Reference

VERSION = "org.opencontainers.image.version"
REVISION = "org.opencontainers.image.revision"
_ROUNDS = 10


@dataclass(frozen=True, kw_only=True)
class TagMover:
    """The tags of one repository, and the image in it that this run published."""

    registry: Registry
    image: Reference
    """By its digest."""
    commit: str

    @property
    def digest(self) -> Digest:
        """The digest of this run's image."""
        assert self.image.digest is not None
        return self.image.digest

    def set(self, tag: str) -> bool:
        """Let a tag name this run's image; return whether it does, which another run may have undone."""
        if self._names(tag) == self.digest:
            return True
        self._move(tag, self.digest)
        found = self.registry.resolve(self.image.with_tag(tag))
        return found is not None and found.descriptor.digest == self.digest

    def adopted(self, tag: str) -> TagMover:
        """Return the mover of the image that a key's tag names, this one where there is no such tag; raises Transient.

        Two builds of one key may differ in what nobody can foresee, a time in a file; whoever published first is right.
        """
        return self._as_taken(tag, self._led_to(tag))

    def renew(self, tag: str, moment: int) -> None:
        """Let a lasting key's tag lead to this run's image, built for a moment, unless it leads to a later one; raises Transient.

        The tag then names the image's own manifest with two annotations more, so that whoever pulls it gets the image, and whoever
        asks learns which one it is and how fresh.
        """
        for _ in range(_ROUNDS):
            found = self.registry.resolve(self.image.with_tag(tag))
            if found is not None and _answer(found).moment >= moment:
                return
            self.registry.annotate(self.image, tag, {RENEWED_FOR: str(moment), RENEWAL: str(self.digest)})
            _say(f"{self.image.name}:{tag} leads to {self.digest}")
        raise Transient(
            f"the tag {tag} of {self.image.name} does not come to rest",
            seen=f"it was moved {_ROUNDS} times",
            todo="run it again when fewer runs move it",
        )

    def claim(self, tag: str) -> TagMover:
        """Let a key's tag name this run's image unless it names one; return the mover of what it names. Raises Transient.

        Of two runs that find none in the same moment, the later one's image stays, and the next run's tags follow it.
        """
        there = self._led_to(tag)
        if there is None:
            self._move(tag, self.digest)
            there = self._led_to(tag)
        return self._as_taken(tag, there)

    def is_published(self, version: str) -> bool:
        """Whether a version's tag names this run's image already, or False where there is no such tag.

        Raises Refused naming both digests when it names another one, Transient when the registry does not say.
        """
        found = self.registry.resolve(self.image.with_tag(version))
        if found is None and version in self.registry.tags(self.image):
            # Another run may have published it in between; a tag whose manifest is lost stays as it is.
            found = self.registry.resolve(self.image.with_tag(version))
            if found is None:
                raise Transient(
                    f"the state of version {version} of {self.image.name} is unknown",
                    seen="the registry lists the tag and does not have its manifest",
                    todo="restore the registry's storage, or delete that tag there, then run it again",
                )
        if found is None:
            return False
        if found.descriptor.digest != self.digest:
            there = self._revision(found)
            raise Refused(
                f"version {version} of {self.image.name} is published already, with another content",
                seen=f"there is {found.descriptor.digest} of commit {there or 'unknown'}, "
                f"this run built {self.digest} of commit {self.commit}",
                todo="give the new content a new version: a published one is never overwritten",
            )
        return True

    def publish(self, version: str) -> None:
        """Let a version's tag name this run's image, once and for all; raises as `is_published` does."""
        if not self.is_published(version):
            self._move(version, self.digest)
            if not self.is_published(version):
                raise Transient(
                    f"version {version} of {self.image.name} was pushed and is not there",
                    seen="404 after a push",
                    todo="run it again",
                )

    def follow(self, tag: str, ref: str, head: Callable[[str], str | None], *, is_of_commit: bool = False) -> bool:
        """Let a branch's tag name the image of the branch's head; return whether that is this run's image.

        `head` asks the remote what a ref names. Where the head's image is not published (yet), or the branch is gone, the
        tag stays as it is: the run of that commit moves it. Needs this commit's own tag to be set before; `is_of_commit` says
        that it was just seen to name this run's image.
        """
        for number in range(_ROUNDS):
            commit = head(ref)
            if commit != self.commit:
                _say(f"{ref} is at {commit or 'no commit'} now, no longer at {self.commit}")
            if is_of_commit and number == 0 and commit == self.commit:
                target: Digest | None = self.digest  # Whoever moves that tag afterwards looks at this one after that.
            else:
                target = self._of_commit(commit) if commit else None
            there = self._names(tag)
            if target in {None, there}:
                return there == self.digest
            assert target is not None
            self._move(tag, target)
        raise Transient(
            f"the tag {tag} of {self.image.name} does not come to rest",
            seen=f"it was moved {_ROUNDS} times",
            todo="run it again when fewer runs move it",
        )

    def raise_latest(self, version: str) -> bool:
        """Let `latest` name the highest release when that is above what it names; return whether it is this run's image.

        Needs the version's own tag to be set before. Which version `latest` is at, the release tags of its image say, for an
        image may be older than its version. What has neither such a tag nor a version in its labels is left alone.
        """
        ours = tag_names.version_of(version)
        assert ours is not None
        for _ in range(_ROUNDS):
            current = self.registry.resolve(self.image.with_tag(tag_names.LATEST))
            highest, target = next(releases(self.registry, self.image), (ours, self.digest))
            highest, target = max((ours, self.digest), (highest, target))
            if current is not None:
                there = current.descriptor.digest
                if there == target:
                    return there == self.digest
                has = release_of(self.registry, self.image, there) or self._version(current)
                if has is None:
                    _say(f"{tag_names.LATEST} names {there}, which has no version: move it by hand once")
                    return False
                if has >= highest:
                    return there == self.digest
            self._move(tag_names.LATEST, target)
        raise Transient(
            f"the tag {tag_names.LATEST} of {self.image.name} does not come to rest",
            seen=f"it was moved {_ROUNDS} times",
            todo="run it again when fewer runs move it",
        )

    def _led_to(self, tag: str) -> str | None:
        """Return the digest of the image that a key's tag leads to, or None where there is no such tag; raises Transient."""
        found = self.registry.resolve(self.image.with_tag(tag))
        if found is None:
            return None
        told = _answer(found)
        return told.notes[RENEWAL] if told.moment else told.digest

    def _as_taken(self, tag: str, there: str | None) -> TagMover:
        if there is None or there == self.digest:
            return self
        _say(f"{self.image.name}:{tag} names {there} already: that image is taken, not {self.digest}")
        return replace(self, image=self.image.with_digest(there))

    def _version(self, manifest: Manifest) -> semver.Version | None:
        reference = self.image.with_digest(manifest.descriptor.digest)
        return tag_names.version_of(_annotation(self.registry, reference, manifest, VERSION))

    def _revision(self, manifest: Manifest) -> str:
        try:
            reference = self.image.with_digest(manifest.descriptor.digest)
            return _annotation(self.registry, reference, manifest, REVISION)
        except Transient:
            return ""  # It only helps to say which commit it was.

    def _of_commit(self, commit: str) -> Digest | None:
        """Return the image that a commit's own tag names; this run's for its own commit, unless another run moved it."""
        found = self.registry.resolve(self.image.with_tag(tag_names.commit_tag(commit)))
        if found is None:
            return self.digest if commit == self.commit else None
        return found.descriptor.digest

    def _names(self, tag: str) -> Digest | None:
        """Return what a tag that may be moved names; None, too, where the registry cannot give it: a move mends that."""
        try:
            found = self.registry.resolve(self.image.with_tag(tag))
        except Transient as error:
            _say(f"what {tag} names is unknown: {error.seen}")
            return None
        return found.descriptor.digest if found else None

    def _move(self, tag: str, digest: Digest) -> None:
        self.registry.tag(self.image.with_digest(digest), tag)
        _say(f"{self.image.name}:{tag} names {digest}")


def _answer(manifest: Manifest) -> TagState:
    """Return what a manifest says of itself."""
    notes = manifest.json.get("annotations") or {}
    return TagState(
        digest=str(manifest.descriptor.digest), notes={str(key): str(value) for key, value in notes.items()}
    )


def releases(registry: Registry, image: Reference) -> Iterator[tuple[semver.Version, Digest]]:
    """Give each release of a repository with its digest, the highest first, each asked for when it is wanted; raises Transient."""
    known = [tag for tag in registry.tags(image) if tag_names.is_release(tag)]
    for found, tag in sorted(((tag_names.version_of(tag), tag) for tag in known), reverse=True):
        if manifest := registry.resolve(image.with_tag(tag)):
            assert found is not None
            yield found, manifest.descriptor.digest


def release_of(registry: Registry, image: Reference, digest: str) -> semver.Version | None:
    """Return the highest release that an image is, or None; raises Transient."""
    return next((version for version, other in releases(registry, image) if other == digest), None)


def _annotation(registry: Registry, reference: Reference, manifest: Manifest, name: str) -> str:
    """Return an annotation of an image, or its label of that name, or an empty string."""
    annotations = manifest.json.get("annotations") or {}
    if name in annotations:
        return str(annotations[name])
    if manifest.is_index:
        return ""
    config = registry.config(reference, manifest).get("config") or {}
    return str((config.get("Labels") or {}).get(name) or "")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
