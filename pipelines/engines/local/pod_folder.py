"""A pod's folder on this machine, with its volumes and its outputs.

The path /a/b of a pod is P/a/b in its folder P. All containers of a pod see the same folders, as in a pod that mounts
every volume in every container: no container is kept from the Secrets of another.
"""

from __future__ import annotations

import contextlib
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from pipelines.engines.local.definition import Container, EnvVar, OutputParameter, Pod, Volume
from pipelines.engines.local.plan import WorkflowPlan, value_of
from pipelines.errors import Refused
from pipelines.step import foreign_files

_MOST_BYTES = 16 * 1024 * 1024
"""Of an output; a whole Workflow on a cluster has 1 MB."""


class NoOutput(Exception):
    """The file of an output parameter is missing."""


class PodFolder:
    """One pod's folder."""

    def __init__(self, folder: Path, pod: Pod, plan: WorkflowPlan) -> None:
        """Create the folder with every volume that a container mounts."""
        self.folder = folder
        self.plan = plan
        folder.mkdir(parents=True, mode=0o700)
        mounts = {path: name for container in pod.containers for path, name in container.mounts.items()}
        volumes = {volume.name: volume for volume in pod.volumes}
        self._same: dict[str, str] = {}
        """Other paths of a volume, each with its first."""
        first: dict[str, str] = {}
        # Containers work in folders and not in links to them, so that `..` is what is above in the pod.
        worked_in = {container.working_dir for container in pod.containers}
        for path in sorted(mounts, key=lambda path: (path not in worked_in, path)):
            at = first.setdefault(mounts[path], path)
            if at == path:
                self._make(self.path(path), volumes[mounts[path]])
                continue
            _make_parent(self.path(path))
            self.path(path).symlink_to(self.path(at))
            self._same[path] = at

    def path(self, path: str) -> Path:
        """Return the path on this machine of a path in the pod; no folder of a volume on its way is a link."""
        for other, at in self._same.items():
            if path == other or path.startswith(other + "/"):
                path = at + path.removeprefix(other)
        return self.folder / path.lstrip("/")

    def working_folder(self, container: Container) -> Path:
        """Return the folder that a container starts in: its workingDir, else the pod's folder."""
        folder = self.path(container.working_dir) if container.working_dir else self.folder
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def variables(self, container: Container) -> dict[str, str]:
        """Return a container's own environment variables, without optional ones that have no value."""
        own: dict[str, str] = {}
        for name in container.variables:
            own.update(self.plan.config_maps[name])
        for variable in container.env:
            value = self._value(variable)
            if value is not None:
                own[variable.name] = expanded(value, own) if value is variable.value else value
        return own

    def outputs(self, parameters: tuple[OutputParameter, ...]) -> dict[str, str]:
        """Return the outputs, each without one newline at its end, as in Argo; raises NoOutput."""
        found = {}
        for output in parameters:
            names = self.path(output.path).relative_to(self.folder).parts
            try:
                data = foreign_files.read(self.folder.resolve(), *names, most=_MOST_BYTES)
                text = data.decode(errors="replace")
            except Refused as error:
                raise NoOutput(f"{output.path}: {error.seen}") from error
            except OSError as error:
                if output.default is None:
                    raise NoOutput(f"open {output.path}: {error.strerror}") from error
                text = output.default
            found[output.name] = text.removesuffix("\n")
        return found

    def remove(self) -> None:
        """Remove the folder, read-only folders in it included."""

        def open_up(function: Callable[[str], object], path: str, _: object) -> None:
            with contextlib.suppress(OSError):
                Path(path).parent.chmod(stat.S_IRWXU)
                Path(path).chmod(stat.S_IRWXU)
                function(path)

        shutil.rmtree(self.folder, onerror=open_up)

    def _make(self, folder: Path, volume: Volume) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if volume.kind == "secret" and self.plan.secrets:
            source = self.plan.secrets.resolve() / volume.source
            # A link that leads nowhere is a file that is to be written: what reads it can name it.
            files = sorted(path.name for path in source.iterdir() if not path.is_dir()) if source.is_dir() else []
            names = volume.items or {name: name for name in files}
            for key, name in names.items():
                # A link: however a run ends, it leaves no copy of a secret.
                _make_parent(folder / name)
                if key in files:
                    (folder / name).symlink_to((source / key).resolve())
        if volume.kind == "configMap":
            values = self.plan.config_maps.get(volume.source, {})
            for key, name in (volume.items or {key: key for key in values}).items():
                if key in values:
                    _make_parent(folder / name)
                    (folder / name).write_text(values[key], encoding="utf-8")

    def _value(self, variable: EnvVar) -> str | None:
        if variable.config_map:
            return value_of(variable.config_map, self.plan.config_maps)
        if variable.secret:
            folder = self.plan.secrets
            path = folder / variable.secret.name / variable.secret.key if folder else None
            return path.read_text(encoding="utf-8") if path and path.is_file() else None
        return variable.value


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with `$(NAME)` replaced as the kubelet does: unknown names stay, `$$` becomes `$`.

    Source: k8s.io/kubernetes third_party/forked/golang/expansion.
    """
    found, at = "", 0
    while (dollar := text.find("$", at)) >= 0 and dollar + 1 < len(text):
        found += text[at:dollar]
        following = text[dollar + 1]
        end = text.find(")", dollar)
        if following == "$":
            found, at = found + "$", dollar + 2
        elif following == "(" and end >= 0:
            name = text[dollar + 2 : end]
            found, at = found + variables.get(name, f"$({name})"), end + 1
        elif following == "(":
            found, at = found + "$(", dollar + 2
        else:
            found, at = found + "$" + following, dollar + 2
    return found + text[at:]


def _make_parent(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
