"""Reads the pods of templates: containers, their volumes, and where they may work and leave their outputs."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from pipelines.engines.local import definition
from pipelines.engines.local.definition import Container, EnvVar, KeyRef, Pod, Volume
from pipelines.engines.local.document_path import DocumentPath

MAIN = "main"
_RESERVED = frozenset({"wait", "init", "supervisor"})
_KINDS = ("emptyDir", "secret", "configMap")


def read_pod(place: DocumentPath, shared: tuple[Volume, ...]) -> Pod:
    """Return the pod of a container or containerSet template; `shared` are its document's own volumes. Raises Refused."""
    volumes = {volume.name: volume for volume in (*shared, *map(read_volume, place.items("volumes")))}
    if place.has("container"):
        one = place.at("container").map("container")
        containers = [_container(one, MAIN, list(one.items("volumeMounts")))]
    else:
        containers = list(_set(place.at("containerSet").map("containerSet")))
    _check_mounts(place, containers, volumes)
    _check_outputs(place, containers)
    return Pod(
        containers=tuple(containers),
        is_set=place.has("containerSet"),
        volumes=tuple(volumes.values()),
        deadline_seconds=_deadline(place),
    )


def read_volume(place: DocumentPath) -> Volume:
    """Return a volume of one of the kinds that run here; raises Refused."""
    place.map("volume")
    kinds = [kind for kind in _KINDS if place.has(kind)]
    if len(kinds) != 1:
        raise place.refuse(f"exactly one of {', '.join(_KINDS)} expected")
    source = place.at(kinds[0]).map(kinds[0])
    items = {
        item.map("item of a volume").at("key").text(): _relative(item.at("path")) for item in source.items("items")
    }
    return Volume(
        name=place.at("name").text(),
        kind=kinds[0],
        source={"emptyDir": "", "secret": source.at("secretName").text(""), "configMap": source.at("name").text("")}[
            kinds[0]
        ],
        optional=source.at("optional").boolean(default=False),
        items=items,
    )


def read_key(place: DocumentPath) -> KeyRef:
    """Return a reference to a key of a ConfigMap or a Secret; raises Refused."""
    place.map("key")
    optional = place.at("optional").boolean(default=False)
    return KeyRef(name=place.at("name").text(), key=place.at("key").text(), optional=optional)


def _set(place: DocumentPath) -> Iterator[Container]:
    shared = list(place.items("volumeMounts"))
    names: list[str] = []
    for one in place.items("containers"):
        one.map("container of a set")
        name = one.at("name").text()
        if name in names or name in _RESERVED:
            raise one.at("name").refuse(f"{name} stands twice, or is Argo's own")
        names.append(name)
        yield _container(one, name, [*one.items("volumeMounts"), *shared])
    if not names:
        raise place.refuse("no container")
    for one in place.items("containers"):
        for needed in one.items("dependencies"):
            if needed.value not in names:
                raise needed.refuse("no such container")
    _check_order(place)


def _check_order(place: DocumentPath) -> None:
    waiting = {str(one.value["name"]): set(one.value.get("dependencies") or ()) for one in place.items("containers")}
    while ready := [name for name, needed in waiting.items() if not needed & waiting.keys()]:
        for name in ready:
            del waiting[name]
    if waiting:
        raise place.refuse(f"containers wait for each other in a circle: {', '.join(waiting)}")


def _container(place: DocumentPath, name: str, mounts: list[DocumentPath]) -> Container:
    command = [word.tagged() for word in place.items("command")]
    if not command:
        raise place.refuse("no command; there is no image here whose own could be used")
    if "{{" in command[0]:
        raise place.at("command").refuse("a parameter may not choose the program")
    paths: dict[str, str] = {}
    for mount in mounts:
        mount.map("volumeMount")
        path = _absolute(mount.at("mountPath"))
        if path in paths:
            raise mount.refuse(f"{path} is mounted twice")
        paths[path] = mount.at("name").text()
    return Container(
        name=name,
        command=(*command, *(word.tagged() for word in place.items("args"))),
        working_dir=_absolute(place.at("workingDir")) if place.has("workingDir") else "",
        env=tuple(map(_variable, place.items("env"))),
        mounts=paths,
        dependencies=tuple(needed.text() for needed in place.items("dependencies")),
    )


def _variable(place: DocumentPath) -> EnvVar:
    name = place.map("env").at("name").text()
    if not place.has("valueFrom"):
        return EnvVar(name=name, value=place.at("value").tagged() if place.has("value") else "")
    source = place.at("valueFrom").map("env source")
    if source.has("configMapKeyRef") == source.has("secretKeyRef"):
        raise source.refuse("exactly one of configMapKeyRef and secretKeyRef expected")
    if source.has("configMapKeyRef"):
        return EnvVar(name=name, config_map=read_key(source.at("configMapKeyRef")))
    return EnvVar(name=name, secret=read_key(source.at("secretKeyRef")))


def _check_mounts(place: DocumentPath, containers: list[Container], volumes: dict[str, Volume]) -> None:
    at: dict[str, str] = {}
    for container in containers:
        for path, volume in container.mounts.items():
            if volume not in volumes:
                raise place.refuse(f"container {container.name} mounts {volume!r}, which is no volume of the template")
            if at.setdefault(path, volume) != volume:
                raise place.refuse(f"{path} is volume {at[path]!r} in one container and {volume!r} in another")
    if twice := [volume for volume in set(at.values()) if list(at.values()).count(volume) > 1]:
        raise place.refuse(f"volume {twice[0]!r} is mounted at two paths; here it can be one folder only")
    for path, volume in at.items():
        inside = [other for other in at if other.startswith(path + "/")]
        if inside and volumes[volume].kind != "emptyDir":
            raise place.refuse(f"{inside[0]} lies in {path}, which holds a {volumes[volume].kind}")
    for container in containers:
        if container.working_dir and not _is_mounted(container.working_dir, container.mounts):
            raise place.refuse(f"container {container.name} works in {container.working_dir}, which is on no volume")


def _check_outputs(place: DocumentPath, containers: list[Container]) -> None:
    outputs = list(place.at("outputs").items("parameters")) if place.has("outputs") else []
    main = next((container for container in containers if container.name == MAIN), None)
    for output in outputs:
        if main is None:
            raise output.refuse("outputs come from the container `main`, and there is none")
        path = _absolute(output.at("valueFrom").at("path"))
        if not _is_mounted(path, main.mounts):
            raise output.refuse(f"{path} is on no volume of `main`; a command here would write it on this machine")


def _is_mounted(path: str, mounts: dict[str, str] | object) -> bool:
    assert isinstance(mounts, dict)
    return any(path == mount or path.startswith(mount + "/") for mount in mounts)


def _absolute(place: DocumentPath) -> str:
    path = place.text()
    if not path.startswith("/") or path == "/" or posixpath.normpath(path) != path.rstrip("/"):
        raise place.refuse(f"an absolute path without `.` or `..` expected, not {path!r}")
    return path.rstrip("/")


def _relative(place: DocumentPath) -> str:
    path = place.text()
    if path.startswith("/") or ".." in path.split("/"):
        raise place.refuse(f"a relative path without `..` expected, not {path!r}")
    return path


def _deadline(place: DocumentPath) -> float | None:
    bounds: list[float] = []
    if (seconds := place.at("activeDeadlineSeconds").integer()) is not None:
        bounds.append(seconds)
    if place.has("timeout"):
        text = place.at("timeout").text()
        if text.isdecimal():
            raise place.at("timeout").refuse("a unit expected; Argo refuses a bare number here")
        try:
            bounds.append(definition.seconds(text))
        except ValueError as error:
            raise place.at("timeout").refuse(str(error)) from error
    return min(bounds, default=None)
