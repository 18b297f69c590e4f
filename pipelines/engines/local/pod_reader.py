"""Reads the pods of templates: containers, their volumes, and where they may work and leave their outputs."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from pipelines.bounds import read_json
from pipelines.engines.local import definition
from pipelines.engines.local.definition import Container, EnvVar, KeyRef, Pod, Volume
from pipelines.engines.local.document_path import DocumentPath

MAIN = "main"
_RESERVED = frozenset({"wait", "init", "supervisor"})
_KINDS = ("emptyDir", "secret", "configMap", "projected")
_TEMPORARY = "/tmp"  # noqa: S108 - a path of pods
"""A mount here is passed over: a command has this machine's, and what is there no other container of its pod sees."""
_ARGO_TOKEN = "exec-sa-token"  # noqa: S105 - a volume's name
"""The volume with the token of Argo's own containers."""
_NAMES = {"secret": "secretName", "configMap": "name"}
"""The field with the name of what a volume holds."""
_AUTHORITIES = "kube-root-ca.crt"
"""The ConfigMap that a token of an account comes with, in every namespace of a cluster."""


def read_pod(spec: DocumentPath, shared: tuple[Volume, ...]) -> Pod:
    """Return the pod of a template; `shared` are the volumes of its document. Raises Refused."""
    check_patch(spec)
    volumes = {volume.name: volume for volume in (*shared, *map(read_volume, spec.items("volumes")))}
    if spec.has("container"):
        one = spec.at("container").map("container")
        containers = [_container(one, MAIN, list(one.items("volumeMounts")))]
    else:
        containers = list(_set(spec.at("containerSet").map("containerSet")))
    _check_mounts(spec, containers, volumes)
    _check_outputs(spec, containers)
    return Pod(
        containers=tuple(containers),
        is_set=spec.has("containerSet"),
        volumes=tuple(volumes.values()),
        deadline_seconds=_deadline(spec),
    )


def read_volume(spec: DocumentPath) -> Volume:
    """Return a volume of one of the kinds that run here; raises Refused."""
    spec.map("volume")
    kinds = [kind for kind in _KINDS if spec.has(kind)]
    if len(kinds) != 1:
        raise spec.refuse(f"exactly one of {', '.join(_KINDS)} expected")
    source = spec.at(kinds[0]).map(kinds[0])
    for part in source.items("sources"):
        if part.map("source of a token").has("configMap") and part.at("configMap").at("name").text() != _AUTHORITIES:
            raise part.at("configMap").refuse("only a token of an account can be projected, with what goes with it")
    items = {
        item.map("item of a volume").at("key").text(): _relative(item.at("path")) for item in source.items("items")
    }
    return Volume(
        name=spec.at("name").text(),
        kind=kinds[0],
        source=source.at(_NAMES[kinds[0]]).text("") if kinds[0] in _NAMES else "",
        optional=source.at("optional").boolean(default=False),
        items=items,
    )


def read_key(spec: DocumentPath) -> KeyRef:
    """Return a reference to a key of a ConfigMap or a Secret; raises Refused."""
    spec.map("key")
    optional = spec.at("optional").boolean(default=False)
    return KeyRef(name=spec.at("name").text(), key=spec.at("key").text(), optional=optional)


def _set(spec: DocumentPath) -> Iterator[Container]:
    shared = list(spec.items("volumeMounts"))
    names: list[str] = []
    for one in spec.items("containers"):
        one.map("container of a set")
        name = one.at("name").text()
        if name in names or name in _RESERVED:
            raise one.at("name").refuse(f"{name} stands twice, or is Argo's own")
        names.append(name)
        yield _container(one, name, [*one.items("volumeMounts"), *shared])
    if not names:
        raise spec.refuse("no container")
    for one in spec.items("containers"):
        for needed in one.items("dependencies"):
            if needed.value not in names:
                raise needed.refuse("no such container")
    _check_order(spec)


def _check_order(spec: DocumentPath) -> None:
    waiting = {str(one.value["name"]): set(one.value.get("dependencies") or ()) for one in spec.items("containers")}
    while ready := [name for name, needed in waiting.items() if not needed & waiting.keys()]:
        for name in ready:
            del waiting[name]
    if waiting:
        raise spec.refuse(f"containers wait for each other in a circle: {', '.join(waiting)}")


def _container(spec: DocumentPath, name: str, mounts: list[DocumentPath]) -> Container:
    command = [word.tagged() for word in spec.items("command")]
    if not command:
        raise spec.refuse("no command; there is no image here whose own could be used")
    if "{{" in command[0]:
        raise spec.at("command").refuse("a parameter may not choose the program")
    paths: dict[str, str] = {}
    for mount in mounts:
        mount.map("volumeMount")
        path = _absolute(mount.at("mountPath"))
        if path in paths:
            raise mount.refuse(f"{path} is mounted twice")
        if path == _TEMPORARY:
            continue
        paths[path] = mount.at("name").text()
    return Container(
        name=name,
        command=(*command, *(word.tagged() for word in spec.items("args"))),
        working_dir=_absolute(spec.at("workingDir")) if spec.has("workingDir") else "",
        env=tuple(map(_variable, spec.items("env"))),
        variables=tuple(
            item.map("envFrom").at("configMapRef").map("configMapRef").at("name").text()
            for item in spec.items("envFrom")
        ),
        mounts=paths,
        dependencies=tuple(needed.text() for needed in spec.items("dependencies")),
    )


def _variable(spec: DocumentPath) -> EnvVar:
    name = spec.map("env").at("name").text()
    if not spec.has("valueFrom"):
        return EnvVar(name=name, value=spec.at("value").tagged() if spec.has("value") else "")
    source = spec.at("valueFrom").map("env source")
    if source.has("configMapKeyRef") == source.has("secretKeyRef"):
        raise source.refuse("exactly one of configMapKeyRef and secretKeyRef expected")
    if source.has("configMapKeyRef"):
        return EnvVar(name=name, config_map=read_key(source.at("configMapKeyRef")))
    return EnvVar(name=name, secret=read_key(source.at("secretKeyRef")))


def _check_mounts(spec: DocumentPath, containers: list[Container], volumes: dict[str, Volume]) -> None:
    at: dict[str, str] = {}
    for container in containers:
        for path, volume in container.mounts.items():
            if volume not in volumes:
                raise spec.refuse(
                    f"container {container.name} mounts {volume!r}, which is not a volume of the template"
                )
            if at.setdefault(path, volume) != volume:
                raise spec.refuse(f"{path} is volume {at[path]!r} in one container and {volume!r} in another")
    for path, volume in at.items():
        inside = [other for other in at if other.startswith(path + "/")]
        if inside and volumes[volume].kind != "emptyDir":
            raise spec.refuse(f"{inside[0]} lies in {path}, which holds a {volumes[volume].kind}")
        if inside and list(at.values()).count(volume) > 1:
            raise spec.refuse(f"{inside[0]} lies in {path}, and volume {volume!r} is mounted at another path, too")
    for container in containers:
        if container.working_dir and not _is_mounted(container.working_dir, container.mounts):
            raise spec.refuse(f"container {container.name} works in {container.working_dir}, which is on no volume")


def check_patch(spec: DocumentPath) -> None:
    """Refuse a change of the pod that is more than another source of the token that Argo's own containers use."""
    if not spec.has("podSpecPatch"):
        return
    try:
        patch = read_json(spec.at("podSpecPatch").text(), "a podSpecPatch")
        is_token = patch.keys() == {"volumes"} and all(one["name"] == _ARGO_TOKEN for one in patch["volumes"])
    except (ValueError, AttributeError, KeyError, TypeError):
        is_token = False
    if not is_token:
        raise spec.at("podSpecPatch").refuse(f"only the source of the volume {_ARGO_TOKEN} may differ")


def _check_outputs(spec: DocumentPath, containers: list[Container]) -> None:
    outputs = list(spec.at("outputs").items("parameters")) if spec.has("outputs") else []
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


def _absolute(spec: DocumentPath) -> str:
    path = spec.text()
    if not path.startswith("/") or path == "/" or posixpath.normpath(path) != path.rstrip("/"):
        raise spec.refuse(f"an absolute path without `.` or `..` expected, not {path!r}")
    return path.rstrip("/")


def _relative(spec: DocumentPath) -> str:
    path = spec.text()
    if path.startswith("/") or ".." in path.split("/"):
        raise spec.refuse(f"a relative path without `..` expected, not {path!r}")
    return path


def _deadline(spec: DocumentPath) -> float | None:
    bounds: list[float] = []
    if (seconds := spec.at("activeDeadlineSeconds").integer()) is not None:
        bounds.append(seconds)
    if spec.has("timeout"):
        text = spec.at("timeout").text()
        if text.isdecimal():
            raise spec.at("timeout").refuse("a unit expected; Argo refuses a bare number here")
        try:
            bounds.append(definition.seconds(text))
        except ValueError as error:
            raise spec.at("timeout").refuse(str(error)) from error
    return min(bounds, default=None)
