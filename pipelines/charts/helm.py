"""The official `helm` program, version 4: what it says about a chart's files, without a cluster or anybody's settings.

Each call gets a home of its own making: no plugins, no repositories, no logins, no kubeconfig, and no network: nothing
that is asked for here is to be fetched. Nothing here judges what Helm says.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipelines.charts import values_schema
from pipelines.errors import Misconfigured, Transient
from pipelines.tools.processes import process
from pipelines.tools.processes.process import Completed

TOOLS_VARIABLE = "SHIPWAY_TOOLS"
"""Names the folder in whose `bin` `make tools` builds Helm; default: shipway/tools below the user's caches."""
MAJOR = 4
MOST_OUTPUT = 64 << 20
"""Characters of what Helm renders or says: a release that Helm can store has a sixtieth of them."""
_KUBERNETES = re.compile(r"v?[0-9]+\.[0-9]+(?:\.[0-9]+)?")
_VERSION = re.compile(r'Version:"v(\d+)\.([^"]*)"')


class Helm:
    """The program, found on PATH or where `make tools` built it."""

    def __init__(
        self, home: Path, *, kubernetes: str = "", timeout_seconds: float = 120, memory_bytes: int = 4 << 30
    ) -> None:
        """Keep what Helm writes in `home`, and end each call that takes longer or more memory.

        Charts are rendered for a version of Kubernetes; empty: the one that Helm was built for.

        The memory is bounded on Linux, as addresses: Go reserves up to 1.5 GiB of them when it starts, so a bound below
        2 GiB lets the start fail by chance. Raises Misconfigured where Helm is missing, or for no version.
        """
        if kubernetes and not _KUBERNETES.fullmatch(kubernetes):
            todo = "write 1.33 or 1.33.2 in the setting kubernetes-version"
            raise Misconfigured("not a version of Kubernetes", seen=repr(kubernetes[:50]), todo=todo)
        self._kubernetes = [f"--kube-version={kubernetes}"] if kubernetes else []
        self._program = find()
        self._home = home.resolve()
        for name in ("", "cache", "config", "data", "tmp"):
            (self._home / name).mkdir(parents=True, exist_ok=True)
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._sound: set[Path] = set()

    def version(self) -> str:
        """Return the program's version, `4.2.4`, with what it renders for; raises Misconfigured if it is not Helm 4."""
        done = self._run("version")
        match = _VERSION.search(done.stdout)
        if done.code != 0 or match is None or int(match[1]) != MAJOR:
            raise Misconfigured(
                f"{self._program} is not Helm {MAJOR}",
                seen=(done.stdout + done.stderr).strip()[:300],
                todo="install Helm 4, or take it from PATH and run `make tools`",
            )
        return " ".join([f"{match[1]}.{match[2]}", *self._kubernetes])

    def lint(self, chart: Path, values: Sequence[Path] = ()) -> Completed:
        """Check a chart's folder strictly; the messages are on stdout."""
        return self._read(chart, "lint", "--strict", "--quiet", *_values(values), chart.resolve())

    def template(self, chart: Path, values: Sequence[Path] = (), *, debug: bool = False) -> Completed:
        """Render a chart's folder with its definitions and tests; with `debug`, invalid YAML is on stdout, too."""
        flags = ["--include-crds", *(["--debug"] if debug else [])]
        return self._read(chart, "template", "release", chart.resolve(), *flags, *_values(values))

    def render(
        self, chart: Path, *, release: str, namespace: str, values: Sequence[Path] = (), crds: bool = True
    ) -> Completed:
        """Render a chart's folder as Argo CD does, for a release and a namespace, with or without its definitions."""
        flags = [f"--namespace={namespace}", *(["--include-crds"] if crds else [])]
        return self._read(chart, "template", release, chart.resolve(), *flags, *_values(values))

    def _read(self, chart: Path, *words: str | Path) -> Completed:
        """Run Helm on a chart; raises Refused where a schema of the chart leads out of it: Helm would follow."""
        if chart not in self._sound:
            for fault in values_schema.faults(chart):
                raise fault.error(chart.name)
            self._sound.add(chart)
        return self._run(*words, *self._kubernetes)

    def _run(self, *words: str | Path) -> Completed:
        done = process.run(
            [self._program, *words],
            # A template of one line can render without end: a chart is a stranger's program.
            timeout_seconds=self._timeout_seconds,
            memory_bytes=self._memory_bytes,
            most_output=MOST_OUTPUT,
            offline=True,
            cwd=self._home,
            env=self._environment(),
        )
        if done.code < 0:
            raise Transient(
                f"helm {words[0]} was killed",
                seen=f"signal {-done.code}; the memory may not suffice",
                todo="run it again",
            )
        return done

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._home),
            "TMPDIR": str(self._home / "tmp"),
            "LC_ALL": "C.UTF-8",
            "HELM_CACHE_HOME": str(self._home / "cache"),
            "HELM_CONFIG_HOME": str(self._home / "config"),
            "HELM_DATA_HOME": str(self._home / "data"),
            "HELM_NO_PLUGINS": "1",
            # Where the kernel gives no network of its own: nothing listens at port 0.
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:0"),
            "NO_PROXY": "",
            "KUBECONFIG": str(self._home / "no-kubeconfig"),
            # Helm lives for milliseconds: garbage collection takes a quarter of its processor time and gains nothing;
            # it needs one thread.
            "GOGC": "off",
            "GOMEMLIMIT": "1GiB",
            "GOMAXPROCS": "1",
        }


def find() -> str:
    """Return the program's path; raises Misconfigured where there is none."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - or ~ stays
    built = Path(os.environ.get(TOOLS_VARIABLE) or Path(caches) / "shipway" / "tools") / "bin"
    found = shutil.which("helm", path=os.pathsep.join([os.environ.get("PATH", os.defpath), str(built)]))
    if found is None:
        raise Misconfigured(
            "there is no helm",
            seen=f"neither on PATH nor in {built}",
            todo="install Helm 4, or `make tools`",
        )
    return found


def _values(files: Sequence[Path]) -> list[str]:
    return [f"--values={path.resolve()}" for path in files]
