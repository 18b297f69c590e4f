"""No free text is an argument: what holds for the outputs and arguments of all compiled WorkflowTemplates together.

Both laws are read from the types of the steps that the documents run. Argo takes the value of an argument for a
template, so an output is a number, a text of a narrow form, or encoded; and what is encoded is decoded by its reader.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

from pipelines.step import signature
from pipelines.step.results import kebab
from pipelines.step.signature import Step
from pipelines.step.texts import Encoded, Narrow
from pipelines.tools.registry.reference import Digest
from tests.laws.documents import PARAMETER, Document, called, containers, templates, walk

_FROM_INPUT = re.compile(r"--([a-z0-9-]+)=\{\{inputs\.parameters\.([A-Za-z0-9_-]+)\}\}")
_OUTPUT = re.compile(r"tasks\.([a-z0-9-]+)\.outputs\.parameters\.([a-z0-9-]+)")
_INPUT = re.compile(r"inputs\.parameters\.([a-z0-9-]+)")
_ITEM = re.compile(r"item(?:\.[a-z0-9_-]+)?")
_FIXED = re.compile(r"workflow\.(?:name|uid|namespace)")
Describe = Callable[[str], Step]


def free_texts(documents: Sequence[Document], describe: Describe = signature.describe) -> list[str]:
    """Every output of a pod has a type that Argo cannot take for a template, and every value has a known source."""
    broken = []
    for document in documents:
        for template in templates(document):
            for name, hint in _outputs(template, describe):
                if not _is_allowed(hint):
                    broken.append(f"{template['name']}: the output {name} is free text")
            broken += _strange(template)
    return broken


def touching(documents: Sequence[Document]) -> list[str]:
    """No template stands beside another one or a brace: a value may end in one, and two make a template."""
    return [
        f"{document['metadata']['name']}: {path}"
        for document in documents
        for path, value in walk(document)
        if isinstance(value, str) and re.search(r"\}\}[{}]|[{}]\{\{", value)
    ]


def mixed_encodings(documents: Sequence[Document], describe: Describe = signature.describe) -> list[str]:
    """What a step puts out encoded reaches only flags that decode it, and they get nothing else."""
    known = _Flow(documents, describe)
    broken = []
    for document in documents:
        for template in templates(document):
            for container in containers(template):
                step = _step(container, describe)
                for flag, name in filter(None, (_match(word) for word in container.get("args", []))) if step else ():
                    assert step is not None
                    sources = set(known.of_input(document, template["name"], name))
                    broken += [
                        f"{template['name']}: --{flag} gets what is {'' if encoded else 'not '}encoded"
                        for encoded in sources - {flag != "arguments" and step.argument(flag).encoded}
                    ]
    return broken


class _Flow:
    """Where the values of inputs come from."""

    def __init__(self, documents: Sequence[Document], describe: Describe) -> None:
        self._documents = {document["metadata"]["name"]: document for document in documents}
        self._describe = describe

    def of_input(self, document: Document, template: str, name: str) -> Iterator[bool]:
        """Yield for each output that reaches an input whether it is encoded; nothing for constants and for people."""
        for caller, dag, task in self._calls(document["metadata"]["name"], template):
            for argument in task.get("arguments", {}).get("parameters", []):
                if argument["name"] == name:
                    for tag in PARAMETER.findall(argument.get("value", "")):
                        yield from self._of_tag(caller, dag, tag)

    def _of_tag(self, document: Document, dag: Document, tag: str) -> Iterator[bool]:
        if match := _OUTPUT.fullmatch(tag):
            task = next(task for task in dag["dag"]["tasks"] if task["name"] == match[1])
            where, template = self._target(document, dag, task)
            yield from self._of_output(where, template, match[2])
        elif match := _INPUT.fullmatch(tag):
            yield from self.of_input(document, dag["name"], match[1])
        elif _ITEM.fullmatch(tag):
            yield False

    def _of_output(self, document: Document, template: Document, name: str) -> Iterator[bool]:
        if "dag" in template:
            for output in template["outputs"]["parameters"]:
                if output["name"] == name:
                    for tag in PARAMETER.findall(output["valueFrom"]["parameter"]):
                        yield from self._of_tag(document, template, tag)
        for other, hint in _outputs(template, self._describe):
            if other == name:
                yield _has(hint, Encoded)

    def _target(self, document: Document, dag: Document, task: Document) -> tuple[Document, Document]:
        where, name = called(document, dag, task)
        return self._documents[where], next(one for one in templates(self._documents[where]) if one["name"] == name)

    def _calls(self, document: str, template: str) -> Iterator[tuple[Document, Document, Document]]:
        for caller in self._documents.values():
            for dag in templates(caller):
                for task in dag.get("dag", {}).get("tasks", []):
                    if called(caller, dag, task) == (document, template):
                        yield caller, dag, task


def _outputs(template: Document, describe: Describe) -> Iterator[tuple[str, Any]]:
    """Yield the name and the type of each output of a pod; the last container leaves them."""
    names = [output["name"] for output in template.get("outputs", {}).get("parameters", [])]
    main = [container for container in containers(template) if container.get("name", "main") == "main"]
    step = _step(main[0], describe) if main else None
    if step is not None:
        hints = {kebab(name): hint for name, hint in get_type_hints(step.result, include_extras=True).items()}
        yield from ((name, hints[name]) for name in names)


def _strange(template: Document) -> Iterator[str]:
    """Yield each argument of a task whose value comes from nothing that these laws know."""
    for task in template.get("dag", {}).get("tasks", []):
        for argument in task.get("arguments", {}).get("parameters", []):
            for tag in PARAMETER.findall(argument.get("value", "")):
                if not any(form.fullmatch(tag) for form in (_OUTPUT, _INPUT, _ITEM, _FIXED)):
                    yield f"{template['name']}: {task['name']} passes on {{{{{tag}}}}}"


def _is_allowed(hint: Any) -> bool:
    if get_origin(hint) is typing.Annotated:
        return _has(hint, Encoded) or _has(hint, Narrow)
    if get_origin(hint) in {tuple, typing.Union, types.UnionType}:
        return all(map(_is_allowed, (one for one in get_args(hint) if one not in {Ellipsis, type(None)})))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        # An encoded part of a JSON text would stand in it as it is.
        hints = get_type_hints(hint, include_extras=True).values()
        return all(_is_allowed(one) and not _has(one, Encoded) for one in hints)
    return isinstance(hint, type) and (hint in {int, bool, Digest} or issubclass(hint, Enum))


def _has(hint: Any, kind: type[Encoded | Narrow]) -> bool:
    return get_origin(hint) is typing.Annotated and any(isinstance(note, kind) for note in get_args(hint)[1:])


def _step(container: Document, describe: Describe) -> Step | None:
    match container.get("command"), container.get("args"):
        case ["shipway"], ["step", str(name), *_]:
            return describe(name)
    return None


def _match(word: str) -> tuple[str, str] | None:
    match = _FROM_INPUT.fullmatch(word)
    return (match[1], match[2]) if match else None
