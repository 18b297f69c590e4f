"""The step `chart-clone`: one commit, its charts compared with the registry, and the archives to publish."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pipelines.charts import chart_yaml, compare, metadata, registry_state, version_moves
from pipelines.charts import files as chart_files
from pipelines.charts import tree as chart_tree
from pipelines.charts.compare import Packed
from pipelines.charts.dependencies import CONFIG, CONTENT
from pipelines.charts.model import ChartCheckout, ComparedChart
from pipelines.charts.tree import Tree
from pipelines.declared.state import ABSENT, BROKEN, HELD, IDENTICAL
from pipelines.errors import Misuse
from pipelines.images.ownership import Publisher
from pipelines.images.tag_names import parse_version
from pipelines.step.groups import ChartSettings, CommitInputs, ReadLogins
from pipelines.step.log import say
from pipelines.step.parameters import Source
from pipelines.step.signature import Arg, Group
from pipelines.tools.git.address import RepositoryUrl, Revision, public_address
from pipelines.tools.git.checkout import check_out_commit, configuration, make_room
from pipelines.tools.git.credentials import GitCredentials
from pipelines.tools.git.fetched_commit import FetchedCommit
from pipelines.tools.git.remote import Git
from pipelines.tools.registry.client import Registry
from pipelines.tools.registry.layout import MANIFEST, Layout
from pipelines.tools.registry.reference import Reference


def chart_clone(
    *,
    inputs: Annotated[CommitInputs, Group()],
    version: Annotated[str, Arg("version of every chart, as of a Git tag v1.2.3; empty: as Chart.yaml says")] = "",
    app_version: Annotated[str, Arg("appVersion of every chart; empty: as Chart.yaml says")] = "",
    ignore: Annotated[tuple[str, ...], Arg("folders whose charts are left out, as a JSON list of patterns")] = (),
    libraries: Annotated[tuple[str, ...], Arg('library charts to publish, as a JSON list of names, or ["*"]')] = (),
    needs: Annotated[
        tuple[str, ...],
        Arg(
            "images without which a chart is held back, as a JSON list of NAME:TAG=FOLDER, the chart's; or NAME=FOLDER"
        ),
    ] = (),
    logins: Annotated[ReadLogins, Group()],
    source: Source = Path("source"),
    archives: Annotated[Path, Arg("folder of the layout that charts to publish are written into")] = Path("archives"),
    unpacked: Annotated[Path, Arg("folder that charts to check are unpacked into")] = Path("unpacked"),
    settings: Annotated[ChartSettings, Group(without=("mirrors",))],
) -> ChartCheckout:
    """Check out one commit, pack each of its charts and ask the registry which are published.

    A chart is held back while the registry lacks an image that it needs, or nobody knows its tag, and so is what
    depends on that chart. What is wrong with charts is among the findings; only a circle of charts is refused at once.
    What shipway.yaml ignores is left out, and its library charts are published, too. The folders are made anew by each
    run.

    Example:
        shipway step chart-clone --repo=https://example.org/web.git --registry=registry.example.org --outputs=out/clone
    """
    RepositoryUrl(inputs.repo), Revision(inputs.revision)  # judged before a folder is made anew
    version, app_version = _version(version), _app_version(app_version)
    make_room(archives)
    make_room(unpacked)
    layout = Layout.create(archives)
    published, repositories = registry_state.connect(settings, layout, logins.docker_config)
    with Git(GitCredentials.read(logins.credentials), ca_file=settings.authorities) as git:
        fetched, files = check_out_commit(git, inputs, source)
    declared = configuration(source)
    ignore, libraries = (*ignore, *declared.no_charts), (*libraries, *declared.libraries)
    tree = chart_tree.read(source, files, own=settings.address, ignore=ignore)
    if version or app_version:
        versions = dict.fromkeys(tree.charts, version) if version else {}
        changed = version_moves.moved(tree.charts, versions, own=settings.address, app_version=app_version)
        tree = chart_tree.read(source, files, own=settings.address, ignore=ignore, changed=changed)
    publisher = Publisher(repo=inputs.repo, formerly=declared.formerly, shared=settings.shared_names)
    plan = compare.plan(tree, published, repositories, libraries=libraries, publisher=publisher)
    planned = tuple(
        _stored(item, plan.packed.get(item.path), tree, layout=layout, unpacked=unpacked, commit=fetched)
        for item in plan.charts
    )
    held = _held(needs, planned, tree.parents(), published.client, settings)
    planned = tuple(replace(item, state=HELD) if item.path in held else item for item in planned)
    for item in planned:
        say(f"{item.path}: {item.name} {item.version} is {item.state}{held.get(item.path, '')}")
    for finding in plan.findings:
        say(str(finding))
    return ChartCheckout(
        **vars(fetched),
        charts=planned,
        findings=plan.findings,
        formerly=declared.formerly,
    )


def _stored(
    item: ComparedChart, packed: Packed | None, tree: Tree, *, layout: Layout, unpacked: Path, commit: FetchedCommit
) -> ComparedChart:
    """Return a chart with what was written of it: its files for the checks, and what is to be pushed."""
    if packed is None or item.state in {BROKEN, IDENTICAL}:
        return item
    folder = unpacked / item.name
    chart_files.write(folder, packed.files)
    digest = item.digest
    if item.state == ABSENT:
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": layout.add(packed.config, CONFIG).json(),
            "layers": [layout.add(packed.archive, CONTENT).json()],
            "annotations": metadata.manifest_annotations(
                tree.charts[item.path].text,
                revision=commit.commit,
                source=public_address(commit.repo),
                time=commit.time,
                dependencies={part.file: part.digest for part in item.embedded},
            ),
        }
        descriptor = layout.add(json.dumps(manifest, separators=(",", ":")).encode(), MANIFEST)
        layout.name(descriptor, f"{item.name}:{chart_yaml.tag(item.version)}")
        digest = str(descriptor.digest)
    return replace(item, folder=str(folder), digest=digest)


def _held(
    needs: Sequence[str],
    charts: Sequence[ComparedChart],
    parents: Mapping[str, Sequence[str]],
    client: Registry,
    settings: ChartSettings,
) -> dict[str, str]:
    """Return why charts that are to be published are held back, by path; raises Transient if that is unknown."""
    held: dict[str, str] = {}
    for item in charts:  # parents first
        if item.state != ABSENT:
            continue
        for need in needs:
            image, _, path = need.partition("=")
            name, _, tag = image.partition(":")
            reference = Reference.under(settings.registry, settings.project, name, tag=tag)
            if path == item.path and (not tag or client.resolve(reference) is None):
                held[path] = f": the image {name}, which its values name, is not published"
        if above := [path for path in parents.get(item.path, ()) if path in held]:
            held.setdefault(item.path, f": {above[0]}, which it depends on, is")
    return held


def _version(text: str) -> str:
    found = text.removeprefix("refs/tags/").removeprefix("v")
    if text and parse_version(found) is None:
        raise Misuse("not a version", seen=repr(text[:100]), todo="give 1.2.3 or v1.2.3, see semver.org")
    return found


def _app_version(text: str) -> str:
    if not text.isprintable() or set(text) & {*"\"'\\"}:
        raise Misuse("not an appVersion", seen=repr(text[:100]), todo="give a text on one line, without quotes")
    return text
