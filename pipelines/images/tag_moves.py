"""Moves tags in a registry so that they end up right after runs in any order, in parallel or killed half-way.

Which tags an image gets is decided in `tag_names`. Nothing here locks: each rule compares what a tag names with what it
should name by now, moves it, and compares again. Whoever wrote last has seen everything that was written before, and
corrects it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipelines.errors import Refused, Transient
from pipelines.images import ownership, tag_names
from pipelines.images.ownership import Publisher
from pipelines.images.registry_state import RENEWAL, RENEWED_FOR, REVISION, VERSION, TagState
from pipelines.step.log import say
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Digest, Reference, built_tag

if TYPE_CHECKING:
    import semver

_ROUNDS = 10


@dataclass(frozen=True, kw_only=True)
class TagMover:
    """Moves the tags of one repository to the image in it that this run published."""

    registry: Registry
    image: Reference
    """By its digest."""
    commit: str
    publisher: Publisher | None = None
    """Whose image it is. Another repository's image keeps every tag that is read here."""

    @property
    def digest(self) -> Digest:
        """The digest of this run's image."""
        assert self.image.digest is not None
        return self.image.digest

    def set(self, tag: str) -> bool:
        """Let a tag name this run's image; return whether it does, since another run may have moved it again."""
        if self._names(tag) == self.digest:
            return True
        self._move(tag, self.digest)
        manifest = self.registry.resolve(self.image.with_tag(tag))
        return manifest is not None and manifest.descriptor.digest == self.digest

    def is_of_commit(self) -> bool:
        """Return whether the image says that it was built from this run's commit; raises Transient."""
        manifest = self.registry.resolve(self.image)
        return manifest is not None and state_of(manifest).annotations.get(REVISION) == self.commit

    def adopted(self, tag: str) -> TagMover:
        """Return the mover of the image that a key's tag names, or this one if there is no such tag; raises Transient.

        Two builds of one key may differ by chance, as by a time in a file; the one that was published first counts.
        """
        return self._as_taken(tag, self._led_to(tag))

    def renew(self, tag: str, moment: int) -> None:
        """Let a lasting key's tag lead to this run's image, unless it leads to one of a later moment; raises Transient.

        The tag then names the image's manifest with two more annotations: whoever pulls it gets the image, and whoever
        reads it learns which image it is and how fresh.
        """
        for _ in range(_ROUNDS):
            manifest = self.registry.resolve(self.image.with_tag(tag))
            if manifest is not None and state_of(manifest).moment >= moment:
                return
            self.registry.annotate(self.image, tag, {RENEWED_FOR: str(moment), RENEWAL: str(self.digest)})
            say(f"{self.image.name}:{tag} leads to {self.digest}")
        raise self._restless(tag)

    def claim(self, tag: str) -> TagMover:
        """Let a key's tag name this run's image unless it names one already, and return the mover of what it names.

        Of two runs that see no such tag at the same time, the later one's image stays, and the tags of the next run
        follow it. Raises Transient.
        """
        digest = self._led_to(tag)
        if digest is None:
            self._move(tag, self.digest)
            digest = self._led_to(tag)
        return self._as_taken(tag, digest)

    def note_built(self, lasting_key: str, seconds: int) -> None:
        """Let a tag of this run's image say when it was built. Raises Transient."""
        self.registry.tag(self.image, built_tag(lasting_key, seconds))

    def is_published(self, version: str) -> bool:
        """Whether a version's tag names this run's image already.

        Raises Refused with both digests if it names another image, Transient if the registry does not answer.
        """
        found = self.registry.resolve(self.image.with_tag(version))
        if found is None and version in self.registry.tags(self.image):
            # Another run may have published it in between; a tag whose manifest is lost is not moved.
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
            commit = self._revision(found)
            raise Refused(
                f"version {version} of {self.image.name} is already published with different content",
                seen=f"there is {found.descriptor.digest} of commit {commit or 'unknown'}, "
                f"this run built {self.digest} of commit {self.commit}",
                todo="give the new content a new version: a published one is never overwritten",
            )
        return True

    def publish(self, version: str) -> None:
        """Let a version's tag name this run's image, for good; raises as `is_published` does."""
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

        `head` asks the remote what a ref names. If the head's image is not published yet, or the branch is gone, the
        tag stays: the run of that commit moves it. This commit's own tag must be set before; `is_of_commit` means that
        it was just seen to name this run's image.
        """
        for number in range(_ROUNDS):
            commit = head(ref)
            if commit != self.commit:
                say(f"{ref} is at {commit or 'no commit'} now, no longer at {self.commit}")
            if is_of_commit and number == 0 and commit == self.commit:
                target: Digest | None = self.digest  # Whoever moves that tag afterwards looks at this one after that.
            else:
                target = self._of_commit(commit) if commit else None
            current = self._names(tag)
            if target in {None, current}:
                return current == self.digest
            assert target is not None
            self._move(tag, target)
        raise self._restless(tag)

    def raise_latest(self, version: str) -> bool:
        """Let `latest` name the highest release if that is above its present one; return whether it is this run's
        image.

        The version's own tag must be set before. The present version of `latest` is that of its image's release tags,
        since an image may be older than its version. An image with neither such a tag nor a version in its labels
        stays.
        """
        ours = tag_names.version_of(version)
        assert ours is not None
        for _ in range(_ROUNDS):
            current = self.registry.resolve(self.image.with_tag(tag_names.LATEST))
            highest, target = next(releases(self.registry, self.image), (ours, self.digest))
            highest, target = max((ours, self.digest), (highest, target))
            if current is not None:
                self._require_own(tag_names.LATEST, current)
                digest = current.descriptor.digest
                if digest == target:
                    return digest == self.digest
                version_now = release_of(self.registry, self.image, digest) or self._version(current)
                if version_now is None:
                    say(f"{tag_names.LATEST} names {digest}, which has no version: move it by hand once")
                    return False
                if version_now >= highest:
                    return digest == self.digest
            self._move(tag_names.LATEST, target)
        raise self._restless(tag_names.LATEST)

    def _led_to(self, tag: str) -> str | None:
        """Return the digest of the image that a key's tag leads to, or None if there is no such tag.

        Raises Transient.
        """
        manifest = self.registry.resolve(self.image.with_tag(tag))
        if manifest is None:
            return None
        self._require_own(tag, manifest)
        state = state_of(manifest)
        return state.annotations[RENEWAL] if state.moment else state.digest

    def _as_taken(self, tag: str, digest: str | None) -> TagMover:
        if digest is None or digest == self.digest:
            return self
        say(f"{self.image.name}:{tag} names {digest} already: that image is taken, not {self.digest}")
        return replace(self, image=self.image.with_digest(digest))

    def _restless(self, tag: str) -> Transient:
        return Transient(
            f"the tag {tag} of {self.image.name} does not come to rest",
            seen=f"it was moved {_ROUNDS} times",
            todo="run it again when fewer runs move it",
        )

    def _version(self, manifest: Manifest) -> semver.Version | None:
        reference = self.image.with_digest(manifest.descriptor.digest)
        return tag_names.version_of(_annotation(self.registry, reference, manifest, VERSION))

    def _revision(self, manifest: Manifest) -> str:
        try:
            reference = self.image.with_digest(manifest.descriptor.digest)
            return _annotation(self.registry, reference, manifest, REVISION)
        except Transient:
            return ""  # It only makes the message better.

    def _of_commit(self, commit: str) -> Digest | None:
        """Return the image of a commit's own tag, or None; for this run's commit, its image if there is no tag."""
        found = self.registry.resolve(self.image.with_tag(tag_names.commit_tag(commit)))
        if found is None:
            return self.digest if commit == self.commit else None
        return found.descriptor.digest

    def _names(self, tag: str) -> Digest | None:
        """Return what a movable tag names, or None, also if the registry cannot read it: a move repairs that."""
        try:
            found = self.registry.resolve(self.image.with_tag(tag))
        except Transient as error:
            say(f"what {tag} names is unknown: {error.seen}")
            return None
        if found is not None:
            self._require_own(tag, found)
        return found.descriptor.digest if found else None

    def _require_own(self, tag: str, manifest: Manifest) -> None:
        """Raise Refused if another repository published what a tag names."""
        if self.publisher:
            self.publisher.require(self.image.with_tag(tag), ownership.of_manifest(manifest))

    def _move(self, tag: str, digest: Digest) -> None:
        self.registry.tag(self.image.with_digest(digest), tag)
        say(f"{self.image.name}:{tag} names {digest}")


def state_of(manifest: Manifest) -> TagState:
    """Return the state of a tag that names a manifest."""
    return TagState(digest=str(manifest.descriptor.digest), annotations=manifest.annotations)


def releases(registry: Registry, image: Reference) -> Iterator[tuple[semver.Version, Digest]]:
    """Give each release of a repository with its digest, the highest first; raises Transient.

    The registry is asked for a digest when the caller takes it.
    """
    known = [tag for tag in registry.tags(image) if tag_names.is_release(tag)]
    for found, tag in sorted(((tag_names.version_of(tag), tag) for tag in known), reverse=True):
        if manifest := registry.resolve(image.with_tag(tag)):
            assert found is not None
            yield found, manifest.descriptor.digest


def release_of(registry: Registry, image: Reference, digest: str) -> semver.Version | None:
    """Return the highest release whose tag names an image, or None; raises Transient."""
    return next((version for version, other in releases(registry, image) if other == digest), None)


def _annotation(registry: Registry, reference: Reference, manifest: Manifest, name: str) -> str:
    """Return an annotation of an image, else its label of that name, else an empty string."""
    if name in manifest.annotations:
        return manifest.annotations[name]
    if manifest.is_index:
        return ""
    config = registry.config(reference, manifest).get("config") or {}
    return str((config.get("Labels") or {}).get(name) or "")
