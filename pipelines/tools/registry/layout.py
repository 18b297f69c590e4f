"""A folder in the OCI image layout (image-spec v1.1, image-layout.md): blobs by digest, and an index with names."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from pipelines.bounds import read_json
from pipelines.errors import Refused, ShipwayError, reason
from pipelines.step import foreign_files
from pipelines.tools.registry.reference import Digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
REF_NAME = "org.opencontainers.image.ref.name"
LAYER_TIME = 315532800
"""1980-01-01T00:00:00Z in seconds since 1970, the earliest time that every archive format can hold; all files in images
and charts have it."""

MOST_BYTES = 64 * 1024 * 1024
"""Of a blob or an index that is read whole."""

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """The media type, digest and size in bytes of one blob."""

    media_type: str
    digest: Digest
    size: int

    @classmethod
    def read(cls, value: Json) -> Descriptor:
        """Return a descriptor from a manifest or an index; raises ShipwayError if it is invalid."""
        try:
            return cls(media_type=str(value["mediaType"]), digest=Digest(value["digest"]), size=int(value["size"]))
        except (KeyError, TypeError, ValueError) as error:
            fields = ", ".join(name for name in ("mediaType", "digest", "size") if name in value)
            raise ShipwayError(
                "a descriptor cannot be read", seen=f"of its fields: {fields or 'none'}", todo="make the image again"
            ) from error

    def json(self) -> Json:
        """Return the descriptor in the form of manifests."""
        return {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}


class Layout:
    """One image layout folder; several images may share its blobs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> Layout:
        """Return the layout at `path`; makes it if there is none."""
        layout = cls(path)
        (path / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        if not (path / "oci-layout").exists():
            layout._replace(path / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        if not (path / "index.json").exists():
            layout._write_index([])
        return layout

    def blob(self, digest: Digest) -> Path:
        """Return the path of the content with a digest, whether it exists or not."""
        return self.path / "blobs" / "sha256" / digest.hex

    def has(self, digest: Digest) -> bool:
        """Whether the layout has the content; blobs appear in it only when complete."""
        return os.path.lexists(self.blob(digest))

    def open(self, digest: Digest) -> BufferedReader:
        """Return a blob, which must be a regular file; raises Refused, and OSError such as FileNotFoundError."""
        with foreign_files.opened(self.path, "blobs", "sha256") as at:
            return foreign_files.open_file(at, digest.hex, most=None, path=self.blob(digest))

    def size(self, digest: Digest) -> int:
        """Return the bytes of a blob; raises as `open` does."""
        with self.open(digest) as file:
            return os.fstat(file.fileno()).st_size

    def is_intact(self, blob: Descriptor) -> bool:
        """Whether a blob has the size and the content that its descriptor says; raises as `open` does."""
        with self.open(blob.digest) as file:
            return os.fstat(file.fileno()).st_size == blob.size and Digest.of_file(file) == blob.digest

    def read(self, digest: Digest) -> bytes:
        """Return the content of a small blob, verified by its digest; raises ShipwayError."""
        try:
            data = foreign_files.read(self.path, "blobs", "sha256", digest.hex, most=MOST_BYTES)
        except FileNotFoundError as error:
            raise ShipwayError(f"{self.path} lacks a blob", seen=str(digest), todo="make the layout again") from error
        if Digest.of(data) != digest:
            raise ShipwayError(f"{self.path} has a damaged blob", seen=str(digest), todo="make the layout again")
        return data

    def json(self, digest: Digest) -> Json:
        """Return a JSON blob: a manifest, an index or a configuration."""
        try:
            value = read_json(self.read(digest), f"the blob {digest}")
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ShipwayError(f"{self.path} has a blob that is not a JSON object", seen=str(digest))
        return value

    def add(self, data: bytes, media_type: str) -> Descriptor:
        """Store a small blob and return its descriptor."""
        with self.writer() as file:
            file.write(data)
        digest = Digest.of(data)
        self.adopt(Path(file.name), digest)
        return Descriptor(media_type=media_type, digest=digest, size=len(data))

    @contextmanager
    def writer(self) -> Iterator[IO[bytes]]:
        """Give a new file beside the blobs; `adopt` makes it one of them, an error removes it."""
        with tempfile.NamedTemporaryFile(dir=self.path / "blobs", prefix="partial-", delete=False) as file:
            try:
                yield file
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    def adopt(self, partial: Path, digest: Digest) -> Path:
        """Make a complete file, whose digest the caller has computed, a blob of the layout."""
        partial.chmod(0o644)
        partial.replace(self.blob(digest))
        return self.blob(digest)

    def link(self, source: Path, digest: Digest, *, anew: bool = False) -> None:
        """Add a blob from another layout of this machine, by a hard link if possible, else by a copy.

        An existing blob stays, unless it is to be replaced (`anew`).
        """
        if self.has(digest) and not anew:
            return
        partial = self.path / "blobs" / f"partial-{os.getpid()}-{threading.get_ident()}-{digest.hex}"
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
        partial.replace(self.blob(digest))

    def refer(self, source: Path, digest: Digest) -> None:
        """Add a blob that stays where it is: by a hard link, or across file systems and mounts by a symbolic one.

        Builders follow that link; the methods of a layout do not.
        """
        if self.has(digest):
            return
        source = source.resolve()
        try:
            os.link(source, self.blob(digest))
        except FileExistsError:
            pass  # another thread was first
        except OSError:
            self.blob(digest).symlink_to(source)

    def take(self, source: Layout, blob: Descriptor) -> bool:
        """Add a blob of another layout on this machine if it is intact there; return whether this one has it now."""
        if not self.has(blob.digest):
            try:
                if not source.is_intact(blob):
                    return False
                self.link(source.blob(blob.digest), blob.digest)
            except (OSError, Refused):
                return False
        return True

    def name(self, descriptor: Descriptor, ref_name: str) -> None:
        """List a manifest in the index under a name, instead of the manifest that had the name before."""
        entries = [e for e in self._entries() if e.get("annotations", {}).get(REF_NAME) != ref_name]
        self._write_index([*entries, {**descriptor.json(), "annotations": {REF_NAME: ref_name}}])

    def named(self, ref_name: str = "") -> Descriptor:
        """Return the manifest listed under a name, or the only one; raises ShipwayError."""
        entries = self._entries()
        found = [e for e in entries if not ref_name or e.get("annotations", {}).get(REF_NAME) == ref_name]
        if len(found) != 1:
            raise ShipwayError(
                f"{self.path} does not hold the one image asked for",
                seen=f"{len(found)} of {len(entries)} manifests" + (f" are named {ref_name!r}" if ref_name else ""),
                todo="make the layout again",
            )
        return Descriptor.read(found[0])

    def _entries(self) -> list[Json]:
        try:
            entries = read_json(foreign_files.read(self.path, "index.json", most=MOST_BYTES), "index.json")["manifests"]
        except OSError as error:
            raise ShipwayError(
                f"{self.path} is not an OCI image layout", seen=reason(error), todo="make it again"
            ) from error
        except (ValueError, KeyError, TypeError):
            entries = None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ShipwayError(
                f"{self.path} is not an OCI image layout", seen="an index.json that lists nothing", todo="make it again"
            )
        return entries

    def _write_index(self, manifests: list[Json]) -> None:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        self._replace(self.path / "index.json", json.dumps(index, separators=(",", ":")).encode())

    def _replace(self, path: Path, data: bytes) -> None:
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_bytes(data)
        partial.replace(path)
