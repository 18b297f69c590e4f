"""BuildKit: a running buildkitd named by the settings, or one that is started for the length of one build.

The latter asks no registry, reads no configuration of the system, and locks its state folder; if another build has
locked the folder, the next one is used, with a cache of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipelines.errors import Misconfigured, ShipwayError, Transient
from pipelines.images.builders import builder
from pipelines.images.builders.builder import BuildRequest, Output, StepFailed
from pipelines.images.platforms import this_platform
from pipelines.tools.processes import process
from pipelines.tools.processes.process import Completed
from pipelines.tools.registry.layout import Layout
from pipelines.tools.registry.reference import Digest

START_SECONDS = 60.0
_SLOTS = 32
_VERSION = re.compile(r"\bv(\d\S*)")
_LINE = re.compile(r"^Dockerfile:(\d+)$", re.MULTILINE)
_OUTPUT = re.compile(r"^------\n > .*\n((?:(?!------\n).*\n)*)------\n", re.MULTILINE)
"""The end of what the failed instruction wrote, each line with its second."""
_REASON = re.compile(r"failed to solve: (?:(?s:.)*did not complete successfully: )?((?s:.)+)\Z")
_PROGRESS = re.compile(r"#\d+ |time=")
_LOST = re.compile(
    r"code = Unavailable|connection refused|connection reset|error reading from server|transport is closing|"
    r"exit code: 137"
)
_UNREACHED = "failed to list workers"
"""The error of buildctl's first request, before it sends anything."""
_NO_REGISTRY = {"version": 1, "rules": [{"action": "DENY", "selector": {"identifier": "docker-image://*"}}]}
"""A source policy: every image is in the layout of bases, so whatever BuildKit would ask a registry for is an error.
That includes a frontend that a Dockerfile names."""
_EMULATORS = {name: name for name in ("arm", "riscv64", "s390x", "ppc64le")}
_EMULATORS |= {"arm64": "aarch64", "amd64": "x86_64", "386": "i386", "mips64le": "mips64el", "loong64": "loongarch64"}
"""QEMU's names of architectures."""
_PLATFORMS = "{{range .}}{{json .Platforms}}{{end}}"
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


class BuildKit:
    """The programs `buildctl` and, without a host, `buildkitd`."""

    kind = "buildkit"

    def __init__(self, state: Path, host: str = "") -> None:
        self._state = state
        self.host = host

    def version(self) -> str:
        """Return the daemon's version, `0.34.2`."""
        argv = ["buildctl", "--addr", self.host, "debug", "info"] if self.host else ["buildkitd", "--version"]
        done = process.run(argv, timeout_seconds=60)
        if done.code != 0 and self.host:
            raise self._silence(done)
        match = _VERSION.search(done.stdout)
        if not match:
            raise Misconfigured("buildkitd does not tell its version", seen=(done.stdout + done.stderr).strip())
        return match[1]

    def emulated(self) -> frozenset[str]:
        """Return those that a running daemon lists, or those with an emulator of BuildKit's on PATH.

        Its names are buildkit-qemu-aarch64 and the like (moby/buildkit: executor, util/archutil). What an emulated
        program starts itself is not emulated, unless the kernel does it (binfmt_misc).
        """
        if not self.host:
            found = {arch for arch, name in _EMULATORS.items() if shutil.which(f"buildkit-qemu-{name}")}
        else:
            argv = ["buildctl", "--addr", self.host, "debug", "workers", "--format", _PLATFORMS]
            found = {*re.findall(r'"architecture":"(\w+)"', process.run(argv, timeout_seconds=60).stdout)}
        return frozenset(found - {this_platform().split("/")[1]})

    def build(self, request: BuildRequest) -> Output:
        """Build the image and export the layers that are not at hand, as plain tars."""
        _check_proxies()
        for folder in ("home", "dockerfile"):
            (request.work / folder).mkdir()
        dockerfile = request.work / "dockerfile" / "Dockerfile"
        dockerfile.write_text(request.dockerfile, encoding="utf-8")
        (request.work / "policy.json").write_text(json.dumps(_NO_REGISTRY))
        # Named so, it counts for this Dockerfile alone and in place of any .dockerignore of the context.
        ignore = dockerfile.with_name("Dockerfile.dockerignore")
        ignore.write_text("#\n" + request.ignore, encoding="utf-8", errors="surrogateescape")
        raw = Layout.create(request.work / "raw")
        for digest in request.at_hand:
            raw.blob(digest).touch()
        (raw.path / "index.json").unlink()
        # Its client makes a folder in a layout, and the bases may be read-only.
        bases = request.work / "bases"
        bases.mkdir()
        for path in request.bases.path.iterdir():
            (bases / path.name).symlink_to(path)
        with self._daemon(request.work / "home") as address:
            done = self._build(request, address, raw)
        if done.code != 0:
            raise self._silence(done) if self.host and _UNREACHED in done.stderr else _failure(done)
        manifest = raw.json(raw.named().digest)
        config = raw.json(Digest(manifest["config"]["digest"]))
        builder.name_layers(config)
        return Output(layout=raw, config=config, layers=tuple(manifest["layers"] or ()))

    def _silence(self, done: Completed) -> Transient:
        return Transient(
            f"buildkitd at {self.host} does not answer",
            seen=builder.tail(done.stderr, lines=3),
            todo="check the setting buildkit-host, and that buildkitd runs there",
        )

    def _build(self, request: BuildRequest, address: str, raw: Layout) -> Completed:
        settings = builder.environment(request.work / "home", request.work)
        exported = {
            "type": "oci",
            "tar": "false",
            "dest": str(raw.path),
            "compression": "uncompressed",
            "rewrite-timestamp": "true",
            "source-date-epoch": str(request.layer_time),
        }
        proxies = {name: settings[name] for name in _PROXIES if name in settings}
        options = {
            "platform": request.platform,
            **{f"context:{alias}": f"oci-layout://bases@{digest}" for alias, digest in request.images.items()},
            **{f"build-arg:{name}": value for name, value in proxies.items()},
            **{f"build-arg:{name}": value for name, _, value in (a.partition("=") for a in request.build_args)},
        }
        return process.run(
            [
                "buildctl",
                f"--addr={address}",
                "build",
                "--progress=plain",
                "--frontend=dockerfile.v0",
                f"--local=context={request.context}",
                f"--local=dockerfile={request.work / 'dockerfile'}",
                f"--oci-layout=bases={request.work / 'bases'}",
                f"--source-policy-file={request.work / 'policy.json'}",
                *(f"--opt={name}={value}" for name, value in options.items()),
                *(f"--secret=id={name},src={path}" for name, path in sorted(request.secrets.items())),
                "--output=" + ",".join(f"{name}={value}" for name, value in exported.items()),
            ],
            timeout_seconds=builder.TIMEOUT_SECONDS,
            env=settings,
            stream=True,
            umask=0o022,
        )

    @contextlib.contextmanager
    def _daemon(self, home: Path) -> Iterator[str]:
        """Give the address of a daemon that answers: the running one, or one that ends with the block."""
        if self.host:
            yield self.host
            return
        settings = builder.environment(home, home)
        # A socket's path may have 107 bytes at most, so it cannot be in the workspace.
        with _slot(self._state) as (root, lock), tempfile.TemporaryDirectory(prefix="shipway-") as private:
            address, log = f"unix://{private}/buildkitd.sock", root.with_suffix(".log")
            config = Path(private) / "buildkitd.toml"
            # By default its trace socket is in /run, where only root may write.
            config.write_text(f'[worker.containerd]\nenabled = false\n[otel]\nsocketPath = "{private}/otel.sock"\n')
            argv = [*builder.own_mounts(), "buildkitd", f"--root={root}", f"--addr={address}", f"--config={config}"]
            if os.geteuid() != 0:
                argv = ["rootlesskit", *argv, "--rootless"]
                if not _has_own_processes():
                    argv.append("--oci-worker-no-process-sandbox")
            with process.background(argv, log=log, env=settings, holding=lock) as runs:
                deadline = time.monotonic() + START_SECONDS
                while not _forget_contexts(address, settings):
                    if not runs() or time.monotonic() > deadline:
                        raise Misconfigured(
                            "buildkitd does not start",
                            seen=builder.tail(log.read_text(errors="replace")),
                            todo="build with buildah (setting builder), or name a running buildkitd (buildkit-host)",
                        )
                    time.sleep(0.05)
                yield address


def _check_proxies() -> None:
    """Raise Misconfigured if a proxy has a login: buildctl gets proxies on its command line, which anybody can read."""
    found = [name for name in _PROXIES if "@" in os.environ.get(name, "")]
    if found:
        raise Misconfigured(
            "BuildKit cannot be given a proxy with a login",
            seen=f"{' and '.join(found)} of this environment (not shown: it holds a password)",
            todo="give builds a proxy without a login, or build with buildah (setting builder), "
            "which gets it by environment",
        )


@contextlib.contextmanager
def _slot(state: Path) -> Iterator[tuple[Path, int]]:
    """Give a state folder that no other daemon uses, and the file descriptor of its lock."""
    state.mkdir(parents=True, exist_ok=True)
    for number in range(_SLOTS):
        lock = os.open(state / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            yield builder.make_folder(state / str(number)), lock
        finally:
            os.close(lock)
        return
    raise Transient("all state folders of BuildKit are in use", seen=f"{_SLOTS} in {state}", todo="run it again later")


def _has_own_processes() -> bool:
    """Whether steps can have a process list of their own; in a pod, whose /proc is masked, they see that of the pod."""
    probe = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "true"]
    return process.run(probe, timeout_seconds=30).code == 0


def _forget_contexts(address: str, settings: dict[str, str]) -> bool:
    """Let the daemon forget the files of earlier contexts; return whether it answers.

    It would reuse a file if path, size and time are the same, and all times are the same here.
    """
    argv = ["buildctl", f"--addr={address}", "prune", "--filter=type==source.local"]
    return process.run(argv, timeout_seconds=60, env=settings).code == 0


def _failure(done: Completed) -> ShipwayError:
    output, reason = _OUTPUT.findall(done.stderr), _REASON.search(done.stderr)
    if output and reason:
        said = f"{builder.tail(re.sub(r'(?m)^[0-9]+[.][0-9]+ ', '', output[-1]))}\n{reason[1]}".strip()
    else:
        said = builder.tail(done.stderr, lines=30, progress=_PROGRESS)
    if done.code < 0 or _LOST.search(done.stderr):
        return Transient("the builder was killed, or the memory did not suffice", seen=said, todo="run it again")
    lines = _LINE.findall(done.stderr)
    return StepFailed("the build failed", line=int(lines[-1]) if lines else 0, seen=said)
