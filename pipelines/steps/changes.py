"""What changed of an image since it was built last: asked of Git alone, and only to say so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from pipelines.declared import shipway_yaml
from pipelines.images import context as image_context
from pipelines.images.node import Graph, Node
from pipelines.images.observed import Changes, Previous
from pipelines.steps.declared_tree import Declared
from pipelines.tools.git.remote import Git
from pipelines.tools.git.tree import File, GitTree

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MOST_COMMITS = 8
"""That are fetched, those first that most images were built from."""


def since(
    git: Git, declared: Declared, graph: Graph, previous: Mapping[str, Previous], builder: str
) -> dict[str, Changes]:
    """Return the changes of images since the commits that they were built from before, for those that the remote still gives."""
    counted = Counter(item.revision for item in previous.values() if _COMMIT.fullmatch(item.revision))
    own = declared.commit.id
    others = [commit for commit, _ in counted.most_common() if commit != own][:_MOST_COMMITS]
    trees = {own: declared.tree}
    if others and git.fetch_also(declared.repository, others):
        for commit in others:
            entries = declared.repository.tree(commit)
            trees[commit] = GitTree(files={entry.path: File(entry.mode, entry.id) for entry in entries})
    return {
        name: _changes(declared.tree, trees[item.revision], graph.nodes[name], builder)
        for name, item in previous.items()
        if item.revision in trees
    }


def _changes(new: GitTree, old: GitTree, node: Node, builder: str) -> Changes:
    folders = (node.image.path, *node.settings.shared)
    paths = {path for folder in folders for tree in (new, old) for path in tree.below(folder)}
    files = image_context.seen(
        new,
        (path for path in paths if new.files.get(path) != old.files.get(path)),
        folder=node.image.path,
        dockerfile=node.image.dockerfile,
        shared=node.settings.shared,
        excluded=node.context.excluded if node.context else (),
        builder=builder,
    )
    said, before = (tree.files.get(shipway_yaml.NAME) for tree in (new, old))
    return Changes(files=files, settings=said != before)
