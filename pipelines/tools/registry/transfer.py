"""Transfers of blobs between a registry and a layout, each verified by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from pipelines.errors import ShipwayError, Transient
from pipelines.tools.registry import errors
from pipelines.tools.registry.connection import MEBIBYTE, PARALLEL, Unanswered
from pipelines.tools.registry.layout import Descriptor, Layout
from pipelines.tools.registry.reference import Digest
from pipelines.tools.registry.repository import RegistryResponse, Repository

ANSWERED = frozenset({200, 201, 202, 204})
"""Of an upload: registries differ in which one they mean, so what is there afterwards counts."""
_BLOB_GONE = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID", "SIZE_INVALID"})
_IS_THERE = frozenset({200, 403, 404, 405})
"""Answers to a HEAD; an upload shows whether it is allowed."""
T = TypeVar("T")
R = TypeVar("R")


def in_parallel(call: Callable[[T], R], items: Sequence[T], *, at_once: int = PARALLEL) -> list[R]:
    """Return the result of a call for each item, in their order; the first error cancels the rest."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        futures = [pool.submit(call, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def download(repository: Repository, blob: Descriptor, layout: Layout) -> None:
    """Fetch a blob into a layout; raises Unanswered if the content does not match its digest."""
    if not layout.has(blob.digest):
        repository.persist(lambda: _download(repository, blob, layout))


def _download(repository: Repository, blob: Descriptor, layout: Layout) -> None:
    what = f"cannot fetch {blob.digest} of {repository.registry}/{repository.name}"
    seconds = repository.network.timing.answer_seconds + blob.size / repository.network.timing.slowest_bytes_per_second
    content, size = hashlib.sha256(), 0
    with (
        repository.open("GET", repository.url(f"blobs/{blob.digest}"), what=what) as response,
        layout.writer() as file,
    ):
        if response.status != 200:
            data = repository.network.body(response, what=what)
            if response.status == 404:
                # The manifest names it, so the answer is incomplete; the image is not absent.
                raise Unanswered(
                    what,
                    seen=f"the registry lacks a blob of its own image: {errors.said(data) or 404}",
                    todo="have that image pushed again",
                )
            raise repository.refusal(what, response.status, data)
        for piece in repository.network.pieces(response, what=what, seconds=seconds):
            size += len(piece)
            if size > blob.size:
                break
            content.update(piece)
            file.write(piece)
        if size != blob.size or content.hexdigest() != blob.digest.hex:
            seen = f"{size} bytes with sha256:{content.hexdigest()}" if size <= blob.size else "too many bytes"
            raise Unanswered(what, seen=f"{seen}, not the {blob.size} bytes asked for")
    layout.adopt(Path(file.name), blob.digest)


def has_blob(repository: Repository, blob: Descriptor) -> bool:
    """Whether the registry reports a blob of this size; it may be wrong, see `verify_blob`."""
    what = f"cannot ask {repository.registry} for {blob.digest}"
    answer = repository.persist(
        lambda: repository.ask("HEAD", repository.url(f"blobs/{blob.digest}"), what=what, expect=_IS_THERE)
    )
    length = answer.headers.get("Content-Length", str(blob.size))
    return answer.status == 200 and length == str(blob.size)


def verify_blob(repository: Repository, blob: Descriptor) -> str:
    """Return an empty string if the registry returns the blob's last byte, else what it answers instead.

    A registry answers a HEAD from its metadata; only a GET reads the content (distribution#4489).
    """
    what = f"{repository.registry} does not give {blob.digest} back"
    if blob.size == 0:
        return ""
    last = blob.size - 1
    try:
        return repository.persist(lambda: _verify_blob(repository, blob, what, {"Range": f"bytes={last}-{last}"}))
    except Unanswered as error:
        if error.silent:
            raise
        return f"{what} ({error.seen})"


def _verify_blob(repository: Repository, blob: Descriptor, what: str, headers: dict[str, str]) -> str:
    with repository.open("GET", repository.url(f"blobs/{blob.digest}"), what=what, headers=headers) as response:
        if response.status == 206:
            total = response.headers.get("Content-Range", "").rpartition("/")[2]
            data = repository.network.body(response, what=what)
            return "" if total in {"*", str(blob.size)} and len(data) == 1 else f"{what} (it has {total} bytes there)"
        if response.status == 200:
            length = response.headers.get("Content-Length", str(blob.size))
            return "" if length == str(blob.size) else f"{what} (it has {length} bytes there)"
        data = repository.network.body(response, what=what)
        if response.status in {404, 416}:
            return f"{what} ({response.status} {errors.said(data)})"
        raise repository.refusal(what, response.status, data)


def upload(repository: Repository, blob: Descriptor, source: Layout, *, mount_from: str = "") -> None:
    """Send a blob, or have the registry mount it from another repository of its own; raises the refusal.

    If the registry does not mount it, it may have the blob already, and is asked.
    """
    repository.persist(lambda: _upload(repository, blob, source, mount_from))


def _upload(repository: Repository, blob: Descriptor, source: Layout, mount_from: str) -> None:
    what = f"cannot push to {repository.registry}/{repository.name}"
    session = _mount(repository, blob, mount_from, what) if mount_from else None
    if mount_from and ((session and session.status == 201) or has_blob(repository, blob)):
        return
    if session is None or "Location" not in session.headers:
        start = repository.url("blobs/uploads/")
        session = repository.ask("POST", start, what=what, expect=ANSWERED, headers={"Content-Length": "0"})
    address = repository.follow(session, what)
    address += ("&" if urlsplit(address).query else "?") + urlencode({"digest": blob.digest})
    timing = repository.network.timing
    with repository.open(
        "PUT",
        address,
        what=what,
        headers={"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)},
        body=lambda: source.open(blob.digest),
        silence_seconds=max(timing.commit_seconds, timing.answer_seconds),
    ) as response:
        data = repository.network.body(response, what=what)
        if response.status in ANSWERED:
            return
        if response.status in {400, 404, 416} and _BLOB_GONE & set(errors.codes(data)):
            if not source.is_intact(blob):
                raise ShipwayError(
                    what, seen=f"{blob.digest} in {source.path} is damaged", todo="build the image again"
                )
            # The session was lost, or stored other content than was sent: a new one may succeed.
            raise Unanswered(what, seen=f"the upload was lost: {errors.said(data)}")
        raise repository.refusal(what, response.status, data)


def _mount(repository: Repository, blob: Descriptor, mount_from: str, what: str) -> RegistryResponse | None:
    """Return the answer to the request to mount a blob, or None if that is refused.

    What may be pushed here need not be allowed to read there, and a token server may refuse it, too.
    """
    wide = replace(repository, scopes=(*repository.scopes, f"repository:{mount_from}:pull"))
    start = wide.url("blobs/uploads/?" + urlencode({"mount": blob.digest, "from": mount_from}))
    try:
        return wide.ask("POST", start, what=what, expect=ANSWERED, headers={"Content-Length": "0"})
    except Transient:
        raise
    except ShipwayError:
        return None


def read_blob(repository: Repository, blob: Descriptor) -> bytes:
    """Return a blob that fits into memory, such as a configuration.

    Raises Unanswered if it does not match its digest.
    """
    what = f"cannot fetch {blob.digest} of {repository.registry}/{repository.name}"
    if blob.size > 4 * MEBIBYTE:
        raise ShipwayError(what, seen=f"a configuration of {blob.size} bytes", todo="make an image with a smaller one")

    def ask() -> bytes:
        answer = repository.ask(
            "GET", repository.url(f"blobs/{blob.digest}"), what=what, expect=frozenset({200, 404}), limit=blob.size
        )
        if answer.status == 404 or Digest.of(answer.data) != blob.digest:
            seen = "404" if answer.status == 404 else f"{len(answer.data)} other bytes"
            raise Unanswered(what, seen=seen)
        return answer.data

    return repository.persist(ask)
