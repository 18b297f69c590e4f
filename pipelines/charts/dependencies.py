"""Where charts' dependencies are fetched from: chart repositories over HTTP, and OCI registries.

Nothing of the user's own Helm configuration has a part in it, and no server is spoken to that the deployment does not
allow: a chart, an index or a redirect can name any. Each index and each archive is fetched once.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pipelines.bounds import NotJson, read_json
from pipelines.charts import archive
from pipelines.charts.chart_yaml import ExternalDependency, tag
from pipelines.charts.version_range import loose
from pipelines.declared import yaml_text
from pipelines.errors import Misconfigured, Misuse, Refused, ShipwayError
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.connection import MEBIBYTE, Network, Timing, Unanswered, joined, retry_after, shown
from pipelines.tools.registry.credentials import Credentials
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.manifest import Manifest
from pipelines.tools.registry.reference import Digest, Reference

CONFIG = "application/vnd.cncf.helm.config.v1+json"
CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
"""Media types of Helm's artifacts: helm.sh/helm/v4, pkg/registry/constants.go."""
_LARGEST_INDEX = 64 * MEBIBYTE
_MOST_REDIRECTS = 5
T = TypeVar("T")


class ChartRepositories:
    """Every repository that dependencies come from, within what the deployment allows."""

    def __init__(
        self,
        registry: Registry,
        layout: Layout,
        credentials: Credentials,
        *,
        hosts: frozenset[str],
        plain_http: frozenset[str] = frozenset(),
        ca_file: Path | None = None,
        timing: Timing | None = None,
    ) -> None:
        """`layout` keeps what comes from registries on its way; `hosts` are those that may be spoken to."""
        self._registry = registry
        self._layout = layout
        self._credentials = credentials
        self._hosts = frozenset(host.lower() for host in hosts)
        self._timing = timing or Timing()
        self._network = Network(plain_http=plain_http, ca_file=ca_file, timing=self._timing)
        self._once: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    def fetch(self, item: ExternalDependency) -> tuple[str, bytes]:
        """Return the address of a dependency's archive, and the archive, which is a chart of that name and version.

        Raises Refused if the host is not allowed or the archive is invalid, ShipwayError where there is no such
        chart, Transient, Misconfigured.
        """
        return self._only_once(f"{item.repository} {item.name} {item.version}", lambda: self._fetch(item))

    def _fetch(self, item: ExternalDependency) -> tuple[str, bytes]:
        if item.repository.startswith("oci://"):
            address, data = self._from_registry(item)
        elif item.repository.startswith(("https://", "http://")) and _address(item.repository, ""):
            address, data = self._from_index(item)
        else:
            raise Refused(
                f"{item.name} comes from nowhere that is known",
                seen=repr(item.repository[:200]),
                todo="write an address with https:// or oci://",
            )
        verify(item, address, data)
        return address, data

    def _from_registry(self, item: ExternalDependency) -> tuple[str, bytes]:
        try:
            repository = Reference.parse(f"{item.repository.removeprefix('oci://').rstrip('/')}/{item.name}")
            reference = repository.with_tag(tag(item.version))
        except Misuse as error:
            raise ShipwayError(
                f"{item.repository} is not a registry's address", seen=error.seen, todo=error.todo
            ) from error
        self._allow(reference.registry, item.repository)
        manifest = self._registry.resolve(reference)
        if manifest is None:
            raise _absent(item, f"{reference.registry} answered 404")
        return f"oci://{reference}", content(self._registry, reference, manifest, self._layout)

    def _from_index(self, item: ExternalDependency) -> tuple[str, bytes]:
        base = item.repository.rstrip("/") + "/"
        entry = next(
            (entry for entry in self._entries(base, item.name) if _is_version(entry, item.version)),
            None,
        )
        if entry is None:
            raise _absent(item, f"{shown(base)}index.yaml does not list it")
        urls = entry.get("urls")
        address = _address(base, str(urls[0])) if isinstance(urls, list) and urls else ""
        if not address:
            raise ShipwayError(
                f"{shown(base)} says no address for {item.name} {item.version}", todo="use another version"
            )
        data = self._get(address, archive.MOST_FILE_BYTES)
        expected = str(entry.get("digest") or "").removeprefix("sha256:")
        if expected and Digest.of(data).hex != expected:
            # A truncated answer, or another file than was listed: asking again may help, taking it never does.
            raise Unanswered(
                f"the archive of {item.name} {item.version} is not the one that its repository lists",
                seen=f"{Digest.of(data)} from {shown(address)}, listed is sha256:{expected}",
                todo="have that repository's index written again, or use another version",
            )
        return shown(address), data

    def _entries(self, base: str, name: str) -> list[dict[str, Any]]:
        text = self._only_once(base, lambda: self._get(base + "index.yaml", _LARGEST_INDEX))
        try:
            entries = _read_index(text, name, f"{shown(base)}index.yaml")
        except (LookupError, TypeError, UnicodeDecodeError, AttributeError) as error:
            raise ShipwayError(
                f"{shown(base)}index.yaml is not a chart index", seen=str(error)[:200], todo="check the address"
            ) from error
        return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []

    def _get(self, address: str, limit: int) -> bytes:
        return self._network.persist(lambda: self._try(address, limit))

    def _try(self, address: str, limit: int) -> bytes:
        location, what = address, f"cannot fetch {shown(address)}"
        for _ in range(_MOST_REDIRECTS + 1):
            host = urlsplit(location).netloc.rpartition("@")[2]
            self._allow(host, shown(address) if location == address else f"a redirect of {shown(address)}")
            self._network.check(location, what)
            # A login is for the host that the chart itself names, never for one that a redirect leads to.
            login = self._credentials.login(host) if host == urlsplit(address).netloc else None
            headers = {"Authorization": login.basic} if login and login.username else {}
            with self._network.open("GET", location, headers=headers) as response:
                if response.status in {301, 302, 303, 307, 308} and "Location" in response.headers:
                    location = joined(location, response.headers["Location"], f"a redirect of {shown(address)}")
                    continue
                if response.status == 200:
                    return self._body(response, what, limit)
                if response.status in {401, 403}:
                    raise Misconfigured(
                        what,
                        seen=f"{host} answered {response.status}",
                        todo="put a login for it into the pull credential",
                    )
                if response.status in {404, 410}:
                    raise ShipwayError(what, seen=f"{host} answered {response.status}", todo="check the address")
                raise Unanswered(
                    what, seen=f"{host} answered {response.status}", wait_seconds=retry_after(response.headers)
                )
        raise Unanswered(what, seen=f"redirects without end, at last to {shown(location)}")

    def _body(self, response: Any, what: str, limit: int) -> bytes:
        out = bytearray()
        seconds = self._timing.answer_seconds + limit / self._timing.slowest_bytes_per_second
        for piece in self._network.pieces(response, what=what, seconds=seconds):
            out += piece
            if len(out) > limit:
                raise Refused(
                    what, seen=f"more than {limit} bytes", todo="Helm reads no larger one; use another version"
                )
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) != len(out):
            raise Unanswered(what, seen=f"{len(out)} of {length} bytes")
        return bytes(out)

    def _allow(self, host: str, what: str) -> None:
        if host.lower() not in self._hosts:
            raise Refused(
                f"{what} leads to a host that is not allowed",
                seen=host,
                todo="add it to the setting `chart-hosts`, if that is meant",
            )

    def _only_once(self, key: str, call: Callable[[], T]) -> T:
        with self._lock:
            first = key not in self._once
            future: Future[T] = self._once.setdefault(key, Future())
        if first:
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001  whoever waits for it gets it, and so does the caller
                future.set_exception(error)
        return future.result()


def verify(item: ExternalDependency, address: str, data: bytes) -> None:
    """Raise Refused unless an archive is the chart of that name and version."""
    what = f"the dependency {item.name} {item.version} from {address}"
    found = yaml_text.read(archive.unpack(data, what).files["Chart.yaml"], what)
    if found.scalar("name") != item.name or loose(found.scalar("version")) != loose(item.version):
        raise Refused(
            f"{what} is another chart",
            seen=f"{found.scalar('name')} {found.scalar('version')}",
            todo="look into that repository; its index or its tag names the wrong archive",
        )


def content(registry: Registry, reference: Reference, manifest: Manifest, layout: Layout) -> bytes:
    """Return the archive that a manifest in a registry names; raises ShipwayError if it is not a chart, Transient."""
    layers = [] if manifest.is_index else [layer for layer in manifest.layers if layer.media_type == CONTENT]
    if len(layers) != 1 or manifest.config.media_type != CONFIG:
        raise ShipwayError(
            f"{reference} is not a Helm chart", seen=manifest.descriptor.media_type, todo="check its address"
        )
    if layers[0].size > archive.MOST_BYTES:
        raise Refused(
            f"{reference} is larger than Helm reads", seen=f"{layers[0].size} bytes", todo="use another version"
        )
    registry.fetch(reference, layers[0], layout)
    return layout.read(layers[0].digest)


def _address(base: str, location: str) -> str:
    """Return the address of a file of a repository; an empty text if it is invalid."""
    try:
        return joined(base, location, base)
    except Unanswered:
        return ""


def _read_index(data: bytes, name: str, what: str) -> Any:
    """Return the entries of one chart; of a large index, as Helm writes it, only its lines are read as YAML."""
    if data.lstrip().startswith(b"{"):
        with contextlib.suppress(NotJson):  # else it is YAML in flow style
            return read_json(data, what)["entries"].get(name)
    start = re.search(rb"^  " + re.escape(name.encode()) + rb":[ \t]*\n", data, re.MULTILINE)
    if start:
        end = re.compile(rb"^(?:  )?[^\s#-]", re.MULTILINE).search(data, start.end())
        try:
            part = data[start.start() : end.start() if end else None].decode()
            return yaml_text.load(part, f"{name} in {what}")[name]
        except (ShipwayError, LookupError, TypeError):
            pass  # written otherwise than Helm writes it
    return yaml_text.load(data.decode(), what)["entries"].get(name)


def _is_version(entry: dict[str, Any], version: str) -> bool:
    found = str(entry.get("version") or "")
    return found == version or (loose(found) is not None and str(loose(found)) == str(loose(version)))


def _absent(item: ExternalDependency, seen: str) -> ShipwayError:
    return ShipwayError(
        f"there is no chart {item.name} {item.version} in {item.repository}",
        seen=seen,
        todo="run `helm dependency update` and commit Chart.lock",
    )
