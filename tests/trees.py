"""Trees of commits for tests, without Git: a file's id is a hash of its content, as Git's is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from pipelines.declared import shipway_yaml
from pipelines.images import graph as image_graph
from pipelines.images.node import BuildTarget, Graph
from pipelines.tools.git.tree import LINK, File, GitTree

REGISTRY, PROJECT = "registry.example", "team"
TARGET = BuildTarget(platforms=("linux/amd64",), builder="buildkit", builder_version="0.34.2", compression="zstd")


def tree(files: Mapping[str, str], links: Mapping[str, str] | None = None) -> GitTree:
    """Return the tree of some files and links, all of them read."""
    contents = {path: text.encode() for path, text in {**files, **(links or {})}.items()}
    return GitTree(
        files={
            path: File(LINK if path in (links or {}) else "100644", hashlib.sha1(data).hexdigest())
            for path, data in contents.items()
        },
        contents=contents,
    )


def read(
    files: Mapping[str, str], *, target: BuildTarget = TARGET, root_name: str = "shop", written: Sequence[str] = ()
) -> Graph:
    """Return the graph of some files; shipway.yaml is among them
    where there is one, `written` is what deployments write.
    """
    configuration, findings = shipway_yaml.read(files.get(shipway_yaml.NAME, "").encode())
    assert findings == ()
    names = {"root_name": root_name, "registry": REGISTRY, "project": PROJECT}
    return image_graph.read(tree(files), configuration, target, written=written, **names)
