"""Buildah: it needs no daemon, every distribution has it, and so it is the builder of a fresh machine.

Its storage is kept between runs and serves several builds at once; no name in it can change its meaning, since every
base is tagged with its own digest. The oldest supported version is 1.28.

New layers are read from the archive that buildah writes into a pipe, while it writes: in the form of `docker save` each
layer is a plain tar, named by its digest. Nothing of the archive is written to disk.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import tarfile
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import IO

from pipelines.bounds import read_json
from pipelines.errors import Misconfigured, ShipwayError, Transient
from pipelines.images.builders import builder, sandbox
from pipelines.images.builders.builder import BuildRequest, Output, StepFailed
from pipelines.images.builders.sandbox import Isolation
from pipelines.images.layers import layer as image_layer
from pipelines.images.platforms import this_platform
from pipelines.tools.processes import process
from pipelines.tools.processes.process import Completed
from pipelines.tools.registry.layout import CONFIG, LAYER, MANIFEST, Descriptor, Json, Layout
from pipelines.tools.registry.reference import Digest

_CHUNK = 1 << 16  # the size of a pipe
_VERSION = re.compile(r"\bversion (\S+)")
_FAILED = re.compile(r'^.*building at STEP "(?P<rest>(?s:.*))', re.MULTILINE)
_AFTER_STEP = '": '
_REASON = re.compile(r'": ((?:while|copier:) (?s:.)*)')
_PROGRESS = re.compile(r"(\[\d+/\d+\] )?(STEP \d+/\d+: |COMMIT\b|--> )")
_KILLED = 137
_KILLED_BELOW = re.compile(r"^unshare: sigprocmask unblock failed", re.MULTILINE)
"""unshare ends by the signal that ended its child, but for SIGKILL, which no process can unblock (util-linux 2.38)."""
_UNSEALED = re.compile(r"^Close_Fd sealing memfd copy: ", re.MULTILINE)
"""Buildah restarts itself from a copy in memory, which Linux refuses to seal (EBUSY, fcntl(2)) while another processor
still holds a page that was just written. It happens by chance, whatever instruction was about to run."""
_STARTS = 5
_ATTEMPT_SECONDS = 120
_READ_ALONG = 32 << 20
"""The stored size of bases up to which reading them out is faster than having buildah compress the other layers."""


class Buildah:
    """The program `buildah`, with a storage folder of its own."""

    kind = "buildah"

    def __init__(self, storage: Path, *, isolation: str = sandbox.SANDBOX, program: str = "buildah") -> None:
        self._storage = storage
        self._isolation = isolation
        self._program = program

    def version(self) -> str:
        """Return the program's version, `1.28.2`."""
        done = process.run([self._program, "--version"], timeout_seconds=60).check("buildah does not tell its version")
        if not (match := _VERSION.search(done.stdout)):
            raise Misconfigured("buildah does not tell its version", seen=done.stdout.strip())
        return match[1]

    def emulated(self) -> frozenset[str]:
        """Return none: it starts a RUN step's program as it is."""
        return frozenset()

    def build(self, request: BuildRequest) -> Output:
        """Build the image and export the layers that are not at hand.

        Raises Refused, before anything of the Dockerfile has run, if its RUN steps cannot be isolated as asked.
        """
        settings = self._settings(request.work)
        isolation = sandbox.choose(
            self._isolation,
            has_steps=request.has_steps,
            attempt=lambda isolation: self._attempt(settings, isolation),
            known=self._storage / "sandbox",
        )
        for alias, digest in request.images.items():
            self._load(request, settings, alias, digest)
        image = self._build(request, settings, isolation)
        inspected = self._run(settings, "inspect", "--type", "image", image).check(
            "cannot read the image that was built"
        )
        config: Json = read_json(inspected.stdout, "what buildah tells of the image")["Docker"]
        builder.name_layers(config)
        diff_ids = [Digest(diff_id) for diff_id in config["rootfs"]["diff_ids"]]
        at_hand = [d for d in diff_ids if d in request.at_hand]
        if len(at_hand) < len(diff_ids) and _bytes_of_bases(request, at_hand) <= _READ_ALONG:
            self._give(request, settings, image, set(diff_ids) - set(at_hand))
            plain = (Descriptor(media_type=LAYER, digest=diff_id, size=0) for diff_id in diff_ids)
            return Output(layout=Layout(request.work / "raw"), config=config, layers=tuple(d.json() for d in plain))
        raw = self._export(request, settings, image, at_hand)
        return Output(layout=raw, config=config, layers=tuple(raw.json(raw.named().digest)["layers"]))

    def _settings(self, work: Path) -> dict[str, str]:
        """Return an environment in which no configuration of the user or the system is read."""
        builder.make_folder(self._storage)
        home, temporary = builder.make_folder(work / "home"), builder.make_folder(self._storage / "tmp")
        (home / "registries.conf").write_text('unqualified-search-registries = []\nshort-name-mode = "disabled"\n')
        (home / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        (home / "auth.json").write_text("{}")
        (home / "containers.conf").write_text("")
        (home / "storage.conf").write_text('[storage]\ndriver = "overlay"\n')
        return {
            **builder.environment(home, temporary),
            "CONTAINERS_REGISTRIES_CONF": str(home / "registries.conf"),
            "CONTAINERS_CONF": str(home / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(home / "storage.conf"),
            "REGISTRY_AUTH_FILE": str(home / "auth.json"),
        }

    def _attempt(self, settings: dict[str, str], isolation: Isolation) -> Completed:
        """Run a program of ours in a RUN step, in a storage of its own: the shared one would keep the image."""
        with tempfile.TemporaryDirectory(dir=self._storage / "tmp", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            program = builder.make_folder(folder / "context") / sandbox.PROGRAM
            program.write_bytes(sandbox.program())
            program.chmod(0o755)
            dockerfile = folder / "Dockerfile"
            dockerfile.write_text(f'FROM scratch\nCOPY {program.name} /\nRUN ["/{program.name}"]\n')
            return self._run(
                settings,
                "build",
                "--no-cache",
                *isolation.flags,
                f"--file={dockerfile}",
                *_policy(settings),
                str(program.parent),
                storage=folder,
                prefix=isolation.prefix(self._program),
                timeout_seconds=_ATTEMPT_SECONDS,
            )

    def _load(self, request: BuildRequest, settings: dict[str, str], alias: str, digest: Digest) -> None:
        """Add a base to the storage under its alias, unless it is there."""
        if self._run(settings, "images", "--quiet", alias).code == 0:
            return
        folder = request.work / "bases"
        plain = _plain(request.bases, digest, Layout.create(folder))
        pulled = self._run(
            settings, "pull", "--quiet", *_policy(settings), f"oci:{folder.name}:{plain}", cwd=folder.parent
        ).check(f"buildah does not take the base {digest}")
        self._run(settings, "tag", pulled.stdout.split()[-1], alias).check(f"buildah does not name the base {digest}")

    def _build(self, request: BuildRequest, settings: dict[str, str], isolation: Isolation) -> str:
        dockerfile, ignore, result = (request.work / name for name in ("Dockerfile", "ignore", "image-id"))
        dockerfile.write_text(request.dockerfile, encoding="utf-8")
        ignore.write_text(request.ignore, encoding="utf-8", errors="surrogateescape")
        done = self._run(
            settings,
            "build",
            "--layers",
            *isolation.flags,
            "--pull=never",
            "--format=docker",
            *([f"--platform={request.platform}"] if request.platform != this_platform() else []),
            f"--timestamp={request.layer_time}",
            f"--iidfile={result}",
            f"--ignorefile={ignore}",
            f"--file={dockerfile}",
            *_policy(settings),
            *(f"--build-arg={argument}" for argument in request.build_args),
            *(f"--secret=id={name},src={path}" for name, path in sorted(request.secrets.items())),
            str(request.context),
            prefix=isolation.prefix(self._program),
            stream=True,
        )
        if done.code == 0:
            return result.read_text().strip()
        raise _failure(done)

    def _give(self, request: BuildRequest, settings: dict[str, str], image: str, digests: set[Digest]) -> None:
        """Pass some layers to the caller while buildah exports all of them."""
        pipe = request.work / "archive"
        with reading(pipe, digests, request.keep):
            self._run(settings, "push", "--quiet", *_policy(settings), image, f"docker-archive:{pipe}").check(
                "buildah cannot export the image"
            )

    def _export(self, request: BuildRequest, settings: dict[str, str], image: str, at_hand: list[Digest]) -> Layout:
        """Write the image's layers into a layout.

        Buildah looks for a layer's plain digest before it writes the layer, so an empty file of that name replaces each
        layer at hand. The others have the fastest compression.
        """
        raw = Layout.create(request.work / "raw")
        for diff_id in at_hand:
            raw.blob(diff_id).touch()
        self._run(
            settings,
            "push",
            "--quiet",
            "--format=oci",
            "--compression-format=zstd",
            "--compression-level=1",
            *_policy(settings),
            image,
            f"oci:{raw.path.name}",
            cwd=raw.path.parent,
        ).check("buildah cannot export the image")
        return raw

    def _run(
        self,
        settings: dict[str, str],
        command: str,
        *arguments: str,
        storage: Path | None = None,
        cwd: Path | None = None,
        stream: bool = False,
        prefix: tuple[str, ...] | None = None,
        timeout_seconds: float = builder.TIMEOUT_SECONDS,
    ) -> Completed:
        """Run a command; if buildah could not restart itself, run it again, which goes on from the layers so far.

        Raises Transient if it never could.
        """
        folder = storage or self._storage
        # As flags: for a user without privileges it overlooks both in storage.conf and takes folders of its home.
        folders = (f"--root={folder / 'root'}", f"--runroot={folder / 'run'}")
        said = ""
        for _ in range(_STARTS):
            done = process.run(
                [*(builder.own_mounts() if prefix is None else prefix), self._program, command, *folders, *arguments],
                timeout_seconds=timeout_seconds,
                env=settings,
                cwd=cwd,
                stream=stream,
                umask=0o022,
            )
            if done.code == 0 or not _UNSEALED.search(done.stderr):
                return done
            said = builder.tail(done.stdout, done.stderr)
        raise Transient("buildah could not start itself anew", seen=said, todo="run it again")


def _policy(settings: dict[str, str]) -> tuple[str, ...]:
    return ("--signature-policy", settings["HOME"] + "/policy.json")


def _bytes_of_bases(request: BuildRequest, layers: Iterable[Digest]) -> float:
    """Return the stored size of layers, which is infinite if one belongs to no base."""
    sizes: dict[Digest, int] = {}
    for digest in request.images.values():
        manifest = request.bases.json(digest)
        config = request.bases.json(Digest(manifest["config"]["digest"]))
        for diff_id, entry in zip(config["rootfs"]["diff_ids"], manifest["layers"], strict=True):
            sizes[Digest(diff_id)] = entry["size"]
    return sum(sizes.get(diff_id, math.inf) for diff_id in layers)


def _plain(bases: Layout, digest: Digest, layout: Layout) -> str:
    """Write the same image in OCI's own types and without ONBUILD into another layout, and return its name there.

    Buildah runs the triggers of some configurations and loses those of others, so the caller writes them out.
    """
    manifest = bases.json(digest)
    config = bases.json(Digest(manifest["config"]["digest"]))
    config.get("config", {}).pop("OnBuild", None)
    layers = [image_layer.descriptor(entry).json() for entry in manifest["layers"]]
    for layer in layers:
        layout.refer(bases.blob(Digest(layer["digest"])), Digest(layer["digest"]))
    described = layout.add(json.dumps(config, sort_keys=True).encode(), CONFIG)
    plain = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described.json(), "layers": layers}
    name = f"plain-{digest.hex}"
    layout.name(layout.add(json.dumps(plain, sort_keys=True).encode(), MANIFEST), name)
    return name


def _failure(done: Completed) -> ShipwayError:
    match = _FAILED.search(done.stderr)
    said = builder.tail(done.stdout, done.stderr[: match.start()] if match else done.stderr, progress=_PROGRESS)
    if done.code < 0 or done.code == _KILLED or _KILLED_BELOW.search(done.stderr):
        return Transient("the builder was killed", seen=said, todo="run it again; give the build more memory")
    if match:
        # The end of the instruction is not marked: instruction and reason may both contain quotes.
        parts = match["rest"].split(_AFTER_STEP)
        reason = _REASON.findall(match["rest"]) or parts
        texts = [_AFTER_STEP.join(parts[:count]) for count in range(1, len(parts))]
        return StepFailed("the build failed", instructions=texts, seen=f"{said}\n{reason[-1]}".strip())
    return StepFailed("the build failed", seen=said)


@contextlib.contextmanager
def reading(pipe: Path, digests: Collection[Digest], keep: Callable[[Digest, IO[bytes]], object]) -> Iterator[None]:
    """Make a named pipe for an archive that is written in the block, and pass each of some layers to `keep`.

    Everything is read when the block has ended. Raises what `keep` raises, and ShipwayError if the archive is invalid.
    """
    os.mkfifo(pipe, 0o600)
    read_end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # without waiting for a writer
    os.set_blocking(read_end, True)
    # Held open, the pipe does not end before the block, even if nobody ever writes.
    write_end = os.open(pipe, os.O_WRONLY)
    errors: list[BaseException] = []

    def read() -> None:
        # Closed after an error, so that the writer fails instead of waiting.
        with os.fdopen(read_end, "rb", buffering=0) as file:
            try:
                _read(file, digests, keep)
            except BaseException as error:  # noqa: BLE001  # raised below, in the thread that waits
                errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    causes: list[BaseException] = []
    try:
        try:
            yield
        finally:
            causes += errors
            os.close(write_end)
            thread.join()
    except ShipwayError:
        # A reader that failed first made the writer fail; otherwise the writer's failure left the archive incomplete.
        if causes:
            raise causes[0] from None
        raise
    if errors:
        raise errors[0]


def _read(file: IO[bytes], digests: Collection[Digest], keep: Callable[[Digest, IO[bytes]], object]) -> None:
    lacking = set(digests)
    try:
        with tarfile.open(fileobj=file, mode="r|", bufsize=_CHUNK) as archive:
            for member in archive:
                digest = f"sha256:{member.name.removesuffix('.tar')}"
                content = archive.extractfile(member) if member.isfile() and digest in lacking else None
                if content is not None:
                    keep(Digest(digest), content)
                    lacking.discard(Digest(digest))
        while file.read(_CHUNK):
            pass
    except tarfile.TarError as error:
        raise ShipwayError("the builder's archive of the image cannot be read", seen=str(error)) from error
    if lacking:
        raise ShipwayError(
            "the builder's archive of the image is not whole", seen=f"without {', '.join(sorted(lacking))}"
        )
