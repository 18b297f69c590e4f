"""The files of one environment on a head: its applications, their values, and what is held back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.declared import shipway_yaml, yaml_edit
from pipelines.declared.yaml_edit import Edit
from pipelines.environments import config_yaml, hold, image_places, image_uses
from pipelines.environments.hold import Held
from pipelines.environments.image_places import At, ValuesText
from pipelines.environments.model import Application
from pipelines.errors import Misuse, ShipwayError, meant
from pipelines.tools.git.tree import File, GitTree
from pipelines.tools.git.write_back import Head

Places = Mapping[str, Sequence[At]]
"""Paths in values files, by file, that name an image in a form that is not recognised."""


@dataclass(frozen=True, kw_only=True)
class ApplicationFolder:
    """One application's folder."""

    path: str
    """`dev/web`."""
    application: Application | None
    """None if its config does not matter."""
    config: bytes = field(repr=False)
    values: ValuesText | None
    """None if it has none that matter."""
    held: Held


def read(
    head: Head, environment: str, *, under: str, config: Callable[[bytes], bool], values: Callable[[bytes], bool]
) -> tuple[list[ApplicationFolder], list[ShipwayError]]:
    """Return the folders of an environment whose config or values matter, as their bytes say, and what cannot be read.

    A file that cannot be read costs its own folder alone. Raises Misuse if there is no such environment, ShipwayError
    for places of shipway.yaml that are in no application.
    """
    paths = {path for path in config_yaml.config_files(head.files) if path.startswith(f"{environment}/")}
    check(head, environment)
    every = {f"{path.rpartition('/')[0]}/{name}" for path in paths for name in (config_yaml.VALUES, hold.NAME)}
    host = under.partition("/")[0].encode()
    contents = head.read(
        [*paths, *every, shipway_yaml.NAME],
        needs=lambda path, data: not path.endswith(f"/{config_yaml.VALUES}") or (values(data) and host in data),
    )
    places = _named(head, contents.get(shipway_yaml.NAME, b""), under)
    lacking = [path for path in places if path.startswith(f"{environment}/") and path not in every & contents.keys()]
    if lacking:
        raise ShipwayError(
            f"{lacking[0]} is not a values file of an application",
            seen=places[lacking[0]][0].where,
            todo="name <environment>/<application>/values.yaml, or commit it",
        )
    configs = {path: data for path, data in contents.items() if path in paths and config(data)}
    texts = {
        path: data
        for path, data in contents.items()
        if path.endswith(f"/{config_yaml.VALUES}") and (path in places or values(data))
    }
    named = {path.rpartition("/")[0] for path in configs}
    applications, fault = _applications(head, configs)
    faults = [fault] if fault else []
    found: list[ApplicationFolder] = []
    for folder in sorted({*applications, *({path.rpartition("/")[0] for path in texts} - named)}):
        try:
            found.append(_folder(folder, applications.get(folder), contents, texts, under=under, places=places))
        except ShipwayError as error:
            faults.append(error)
    return found, faults


def held(head: Head) -> tuple[dict[str, str], list[ShipwayError]]:
    """Return what rollbacks hold back in any environment, and what cannot be read of it.

    These are digests and NAME@VERSION, each with an application's folder.
    """
    folders = sorted({path.rpartition("/")[0] for path in config_yaml.config_files(head.files)})
    found: dict[str, str] = {}
    faults: list[ShipwayError] = []
    for path, data in head.read(f"{folder}/{hold.NAME}" for folder in folders).items():
        try:
            one = hold.read(data, path)
        except ShipwayError as error:
            faults.append(error)
        else:
            found |= dict.fromkeys((*one.images, *one.charts), path.rpartition("/")[0])
    return found, faults


def check(head: Head, environment: str) -> None:
    """Raise Misuse, naming those that there are, where a head has no such environment."""
    names = sorted({path.split("/")[0] for path in config_yaml.config_files(head.files)})
    if environment not in names:
        raise Misuse(
            f"there is no environment {environment} in {head.repository.url}",
            seen=f"environments: {', '.join(names) or 'none'}",
            todo=meant([environment], names, "name one of them, or commit <environment>/<application>/config.yaml"),
        )


def with_version(config: bytes, application: Application, key: str, text: str) -> bytes:
    """Return a config file with another version of its chart; raises ShipwayError."""
    # JSON may be indented by tabs, which YAML forbids: it is read with blanks instead.
    plain = config.replace(b"\t", b" ") if application.config.endswith(".json") else config
    documents = yaml_edit.read(plain, application.config)
    nodes = [value for document in documents for name, value in document.root.value if name.value == key]
    if len(nodes) != 1:
        raise ShipwayError(
            f"{application.config} has {key} {len(nodes)} times",
            seen=f"{text} is to be written there",
            todo="write it once",
        )
    edit = Edit(document=documents[0].number, node=nodes[0], text=text)
    new = yaml_edit.applied(documents, [edit], application.config)
    start = next((at for at, (a, b) in enumerate(zip(plain, new, strict=False)) if a != b), min(len(plain), len(new)))
    tail = min(len(plain), len(new)) - start
    same = next((at for at in range(tail) if plain[-1 - at] != new[-1 - at]), tail)
    return config[:start] + new[start : len(new) - same] + config[len(config) - same :]


def _applications(head: Head, configs: Mapping[str, bytes]) -> tuple[dict[str, Application], ShipwayError | None]:
    files = {path: File(head.files[path].mode, head.files[path].id) for path in configs}
    found = config_yaml.read(GitTree(files=files, contents=configs))
    fault = ShipwayError(
        f"{head.repository.url} has files that cannot be read",
        seen="\n".join(map(str, found.findings[:20])),
        todo="correct them; their applications were left as they are",
    )
    return {item.folder: item for item in found.applications}, fault if found.findings else None


def _folder(
    folder: str,
    application: Application | None,
    contents: Mapping[str, bytes],
    texts: Mapping[str, bytes],
    *,
    under: str,
    places: Places,
) -> ApplicationFolder:
    values, kept = f"{folder}/{config_yaml.VALUES}", f"{folder}/{hold.NAME}"
    return ApplicationFolder(
        path=folder,
        application=application,
        config=contents.get(application.config, b"") if application else b"",
        values=image_places.read(texts[values], values, under=under, at=places.get(values, ()))
        if values in texts
        else None,
        held=hold.read(contents.get(kept), kept),
    )


def any_of(words: Iterable[str]) -> Callable[[bytes], bool]:
    """Return a test for bytes that hold one of some words: most files need not be parsed then."""
    found = tuple(word.encode() for word in words if word)
    return lambda data: any(word in data for word in found)


def environment_of(head: Head, name: str) -> str:
    """Return the only environment that has an application; raises Misuse, naming them, if several or none have it."""
    paths = [path.split("/") for path in config_yaml.config_files(head.files)]
    found = sorted({environment for environment, application, _ in paths if application == name})
    if len(found) == 1:
        return found[0]
    if found:
        raise Misuse(
            f"{name} runs in several environments",
            seen=", ".join(found),
            todo=f"say which one: {' or '.join(f'{environment}/{name}' for environment in found)}",
        )
    names = sorted({application for _, application, _ in paths})
    raise Misuse(
        f"no environment of {head.repository.url} has an application {name}",
        seen=f"applications: {', '.join(names[:20]) or 'none'}",
        todo=meant([name], names, "name one of them, or commit its config.yaml"),
    )


def named(head: Head, *, under: str) -> Places:
    """Return the places that shipway.yaml of the repository names, by file; raises ShipwayError if it is invalid."""
    return _named(head, head.read([shipway_yaml.NAME]).get(shipway_yaml.NAME, b""), under)


def _named(head: Head, data: bytes, under: str) -> Places:
    entry = head.files.get(shipway_yaml.NAME)
    configuration, findings = shipway_yaml.read(data, is_link=entry is not None and entry.is_link)
    if findings:
        raise ShipwayError(
            f"{shipway_yaml.NAME} of {head.repository.url} cannot be read",
            seen="\n".join(map(str, findings)),
            todo=findings[0].todo,
        )
    return image_uses.named(configuration, under)


def one(head: Head, environment: str, name: str, *, under: str, places: Places) -> ApplicationFolder:
    """Return one application; `places` are those of shipway.yaml. Raises Misuse if it does not exist, ShipwayError."""
    check(head, environment)
    path = f"{environment}/{name}"
    contents = head.read(f"{path}/{file}" for file in (*config_yaml.CONFIGS, config_yaml.VALUES, hold.NAME))
    configs = {file: data for file, data in contents.items() if file.rpartition("/")[2] in config_yaml.CONFIGS}
    applications, fault = _applications(head, configs)
    if fault:
        raise fault
    found = applications.get(path)
    if found is None:
        names = {p.split("/")[1] for p in config_yaml.config_files(head.files) if p.startswith(f"{environment}/")}
        raise Misuse(
            f"{environment} has no application {name}",
            seen=f"applications: {', '.join(sorted(names)[:20])}",
            todo=meant([name], names, "name one of them, or commit its config.yaml"),
        )
    values = {file: data for file, data in contents.items() if file.endswith(f"/{config_yaml.VALUES}")}
    return _folder(path, found, contents, values, under=under, places=places)
