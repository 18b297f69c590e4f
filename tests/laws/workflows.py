"""What holds for every compiled WorkflowTemplate. Each law returns what breaks it, in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from pipelines.workflows import reporting
from tests.laws.documents import PARAMETER, Document, called, containers, templates, texts, walk

_DNS = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_WORKFLOW = {"workflow.name", "workflow.status", "workflow.uid", "workflow.namespace"}
_TEXT = r'"(?:[^"\\]|\\.)*"'
_EXPRESSIONS = {
    ".when": re.compile(r"=now\(\)\.Unix\(\) - asInt\((inputs\.parameters\.[a-z]+)\) > \d+"),
    # The platform of a build chooses one of the chart's own patches.
    "podSpecPatch": re.compile(
        rf"=\(\{{{_TEXT}: {_TEXT}(?:, {_TEXT}: {_TEXT})*\}}"
        rf"\[(?:jsonpath\()?(inputs\.parameters\.[a-z]+)(?:, '\$\.platform'\))?\] \?\? {_TEXT}\)"
    ),
    ".withParam": re.compile(r"=toJson\(jsonpath\((inputs\.parameters\.[a-z]+), '\$\[\d\]'\)\)"),
}
"""The expressions that there may be, by the end of the path where each may stand, with the input that it reads."""
_INPUT = re.compile(r"\{\{inputs\.parameters\.([a-z-]+)\}\}")
_SHELLS = re.compile(r"(?:^|/)(?:ba|da|z|k)?sh$")
_CHOOSING = re.compile(
    r"\.(?:image|serviceAccountName|namespace|secretName|schedulerName|priorityClassName|podSpecPatch|hostPath|path)$"
    r"|(?:secretKeyRef|configMapKeyRef|secret|configMap|templateRef|imagePullSecrets|mutex|synchronization)\b"
    r".*\.(?:name|template|key)$"
    r"|\.(?:mountPath|subPath|workingDir)$"
)
_TEMPORARY = "/tmp"
_ARGO_TOKEN = '{"volumes": [{"name": "exec-sa-token", "secret": null}]}'
_MOST_SECONDS = 3600
"""The longest that a token lives."""
_NEEDED = (
    "activeDeadlineSeconds",
    "serviceAccountName",
    "automountServiceAccountToken",
    "executor",
    "securityContext",
    "retryStrategy",
)


def unresolved_names(document: Document) -> list[str]:
    """Every `{{…}}` names something that its own template has.

    A template reads inputs and never the workflow's arguments.
    """
    broken = []
    for template in templates(document):
        known = {f"inputs.parameters.{p['name']}" for p in template.get("inputs", {}).get("parameters", [])} | _WORKFLOW
        tasks = template.get("dag", {}).get("tasks", [])
        for task in tasks:
            known |= {f"tasks.{task['name']}.{field}" for field in ("status", "outputs.parameters.*")}
            if "withParam" in task or "withItems" in task:
                known |= {"item", "item.*"}
        for path, text in texts(template):
            for tag in PARAMETER.findall(text):
                form = next((form for end, form in _EXPRESSIONS.items() if path.endswith(end)), None)
                expression = form.fullmatch(tag) if form else None
                name = expression[1] if expression else tag
                general = re.sub(r"(outputs\.parameters|^item)\..+$", r"\1.*", name)
                if name not in known and general not in known:
                    broken.append(f"{template['name']}: {path}: {{{{{name}}}}} names nothing")
    for path, text in texts({key: value for key, value in document["spec"].items() if key != "templates"}):
        if PARAMETER.search(text):
            broken.append(f"spec.{path}: a parameter outside a template")
    return broken


def code_from_parameters(document: Document) -> list[str]:
    """No parameter stands in a script, a command or a shell's text; where it is an argument it fills a whole flag."""
    broken = []
    for template in templates(document):
        if "script" in template:
            broken.append(f"{template['name']}: an inline script")
        for container in containers(template):
            where = f"{template['name']}/{container.get('name', 'main')}"
            command, args = container.get("command", []), container.get("args", [])
            if any(PARAMETER.search(word) for word in [*command, container.get("source", "")]):
                broken.append(f"{where}: a parameter in the command")
            if any(_SHELLS.search(word) for word in [*command, *args]):
                broken.append(f"{where}: a shell")
            broken += [
                f"{where}: {word} is not --name={{{{…}}}}"
                for word in args
                if PARAMETER.search(word) and not re.fullmatch(r"--[a-z0-9-]+=\{\{[a-z0-9.-]+\}\}", word)
            ]
            broken += [
                f"{where}: a parameter in the environment variable {env['name']}"
                for env in container.get("env", [])
                if PARAMETER.search(env.get("value", ""))
            ]
    return broken


def choices_by_parameters(document: Document) -> list[str]:
    """No parameter picks a Secret, an image, an account, a registry, a namespace, a template or a path.

    What a template must not run beside may be one, where the document is only referred to; `undecoded_mutexes` looks at
    who does. A build's platform picks one of the patches that an installation's values make.
    """
    broken = [
        f"{path} = {text}"
        for path, text in texts(document["spec"])
        if PARAMETER.search(text) and _CHOOSING.search(path)
        if not _is_given_mutex(document, path, text) and not _is_constant(document, path, text)
        if not _EXPRESSIONS["podSpecPatch"].fullmatch(text.removeprefix("{{").removesuffix("}}"))
    ]
    choosing = re.compile(r"registry|namespace|service-?account|image-pull|mirror|docker-config|credential")
    broken += [
        f"{template['name']}: the input {parameter['name']}"
        for template in templates(document)
        for parameter in template.get("inputs", {}).get("parameters", [])
        if choosing.search(parameter["name"])
    ]
    return broken


def _is_given_mutex(document: Document, path: str, text: str) -> bool:
    """Whether a text is a mutex's whole name, from an input without a value, in a document that nobody starts."""
    place = re.fullmatch(r"templates\[(\d+)\]\.synchronization\.mutexes\[\d+\]\.name", path)
    name = _INPUT.fullmatch(text)
    if not place or not name or _is_started(document):
        return False
    return {"name": name[1]} in templates(document)[int(place[1])]["inputs"]["parameters"]


def _is_constant(document: Document, path: str, text: str) -> bool:
    """Whether a text is a referenced template's whole name, from an input with a fixed value that no task gives."""
    place = re.fullmatch(r"templates\[(\d+)\]\.dag\.tasks\[\d+\]\.templateRef\.template", path)
    if not place or _is_started(document):
        return False
    caller = templates(document)[int(place[1])]
    given = {
        argument["name"]
        for template in templates(document)
        for task in template.get("dag", {}).get("tasks", [])
        if task.get("template") == caller["name"]
        for argument in task["arguments"]["parameters"]
    }
    constants = [p for p in caller["inputs"]["parameters"] if "value" in p and p["name"] not in given]
    return text in {f"{{{{inputs.parameters.{one['name']}}}}}" for one in constants if "{{" not in one["value"]}


def undecoded_mutexes(documents: Sequence[Document]) -> list[str]:
    """Every caller of a template with a mutex feeds the mutex's name with start's output `mutex`.

    A law for all documents together, since one calls what another has.
    """
    broken = []
    for document in documents:
        for template in templates(document):
            for mutex in template.get("synchronization", {}).get("mutexes", []):
                name = _INPUT.fullmatch(mutex["name"])
                given = [
                    _is_decoded(caller, dag, argument["value"])
                    for caller, dag, task in _calls(documents, document["metadata"]["name"], template["name"])
                    for argument in task["arguments"]["parameters"]
                    if name and argument["name"] == name[1]
                ]
                if not (given and all(given)):
                    broken.append(f"{template['name']}: {mutex['name']} is not what start says")
    return broken


def _calls(documents: Sequence[Document], name: str, template: str) -> Iterator[tuple[Document, Document, Document]]:
    """Give each task that calls a template, with its DAG and its document."""
    for document in documents:
        for dag in templates(document):
            for task in dag.get("dag", {}).get("tasks", []):
                if called(document, dag, task) == (name, template):
                    yield document, dag, task


def _is_decoded(document: Document, dag: Document, value: str) -> bool:
    """Whether a value is the output `mutex` of a task that runs the step locate or start."""
    source = re.fullmatch(r"\{\{tasks\.([a-z-]+)\.outputs\.parameters\.mutex\}\}", value)
    called = {task["name"]: task.get("template") for task in dag["dag"]["tasks"]}
    return source is not None and any(
        container.get("args", [])[:2] in (["step", "locate"], ["step", "start"])
        for template in templates(document)
        if template["name"] == called.get(source[1])
        for container in containers(template)
    )


REPORTER = f"{reporting.END}-pod"
"""The one pod of an exit handler that may stand in another document, where it is held to the same."""


def exit_handlers(document: Document) -> list[str]:
    """An exit handler passes on the run's name alone; status, message and outputs hold text from outside."""
    named = {template["name"]: template for template in templates(document)}
    reached = [name for name in (document["spec"].get("onExit"), REPORTER) if name in named]
    broken = []
    for name in reached:  # grows while it is gone through
        template = named.get(name, {})
        tasks = template.get("dag", {}).get("tasks", [])
        reached += [task["template"] for task in tasks if task.get("template", name) not in reached]
        broken += [
            f"{name}: {task['name']} refers to another document"
            for task in tasks
            if task.get("templateRef", {"template": REPORTER})["template"] != REPORTER
        ]
        broken += [
            f"{name}: {path}: {text}"
            for path, text in texts(template)
            if any(found not in {"workflow.name", "inputs.parameters.run"} for found in PARAMETER.findall(text))
        ]
        inputs = [parameter["name"] for parameter in template.get("inputs", {}).get("parameters", [])]
        broken += [f"{name}: the input {parameter}" for parameter in inputs if parameter != "run"]
    return broken


STRANGERS = frozenset({"build", "check-build", "chart-check", "impact"})
"""Steps that run what a repository brings, or a program on it that may be tricked."""


def lacking(document: Document) -> list[str]:
    """A referenced template has what it needs itself: account, token, deadline, security, retry, limits, volumes."""
    broken = []
    for template in templates(document):
        if not containers(template):
            continue
        name = template["name"]
        broken += [f"{name}: no {field}" for field in _NEEDED if field not in template]
        if template.get("automountServiceAccountToken") is not False:
            broken.append(f"{name}: mounts a token")
        if "code:? (75|143)(" not in template.get("retryStrategy", {}).get("expression", ""):
            broken.append(f"{name}: retries more than what may pass")
        volumes = {volume["name"] for volume in template.get("volumes", [])}
        for container in containers(template):
            where = f"{name}/{container.get('name', 'main')}"
            resources = container.get("resources", {})
            broken += [
                f"{where}: no {kind} of {what}"
                for kind in ("requests", "limits")
                for what in ("cpu", "memory")
                if what not in resources.get(kind, {})
            ]
            mounts = {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", [])}
            if unknown := mounts.keys() - volumes:
                broken.append(f"{where}: mounts {', '.join(sorted(unknown))}, which the template lacks")
            if container.get("workingDir", "") not in set(mounts.values()) - {_TEMPORARY}:
                broken.append(f"{where}: works outside its volumes")
            broken += [
                f"{where}: {word} is an absolute path"
                for word in container.get("args", [])
                if re.search(r"(?:^|=)/", word)
            ]
    return broken


def shared_volumes(document: Document) -> list[str]:
    """What a container can write, no other container can; only those that start after it has ended can read it."""
    broken = []
    for template in templates(document):
        name = template["name"]
        earlier = ancestors(template)
        writers: dict[str, list[str]] = {}
        for container in containers(template):
            for mount in container.get("volumeMounts", []):
                if not mount.get("readOnly"):
                    writers.setdefault(mount["name"], []).append(container.get("name", "main"))
        broken += [
            f"{name}: {volume} is written by {' and '.join(who)}" for volume, who in writers.items() if len(who) > 1
        ]
        for container in containers(template):
            own = container.get("name", "main")
            for mount in container.get("volumeMounts", []):
                if not mount.get("readOnly"):
                    continue
                late = [who for who in writers.get(mount["name"], []) if who not in earlier.get(own, set())]
                broken += [f"{name}/{own}: reads {mount['name']} while {who} can write it" for who in late]
            mounts = {mount["mountPath"] for mount in container.get("volumeMounts", []) if not mount.get("readOnly")}
            if container.get("workingDir") not in mounts:
                broken.append(f"{name}/{own}: works in a folder that is not its own")
    return broken


def ancestors(template: Document) -> dict[str, set[str]]:
    """Return, for each container of a set, those that have ended when it starts."""
    waits = {c["name"]: set(c.get("dependencies", ())) for c in template.get("containerSet", {}).get("containers", ())}
    for _ in waits:
        waits = {name: needed.union(*(waits[other] for other in needed)) for name, needed in waits.items()}
    return waits


def privileges(document: Document) -> list[str]:
    """Nothing runs as root, privileged, or with the host's files, network or processes."""
    broken = []
    for template in templates(document):
        if containers(template) and not template.get("securityContext", {}).get("runAsNonRoot"):
            broken.append(f"{template['name']}: may run as root")
        for container in containers(template):
            where = f"{template['name']}/{container.get('name', 'main')}"
            context = container.get("securityContext", {})
            if context.get("privileged") or "ALL" not in context.get("capabilities", {}).get("drop", []):
                broken.append(f"{where}: keeps capabilities")
            if set(context.get("capabilities", {}).get("add", [])) - {"SETUID", "SETGID"}:
                broken.append(f"{where}: adds capabilities")
            if "seccompProfile" not in context or "allowPrivilegeEscalation" not in context:
                broken.append(f"{where}: leaves its security to the cluster")
            writable = {mount["mountPath"] for mount in container.get("volumeMounts", []) if not mount.get("readOnly")}
            if context.get("readOnlyRootFilesystem") is not True or _TEMPORARY not in writable:
                broken.append(f"{where}: writes the root of its image")
    broken += [path for path, _ in walk(document) if re.search(r"\.(?:hostPath|hostNetwork|hostPID|hostIPC)$", path)]
    return broken


def lasting_tokens(document: Document) -> list[str]:
    """A token ends within the hour and with its pod; one container has it, and Argo's own do by a patch of a volume."""
    return [
        text
        for template in templates(document)
        if containers(template)
        for patch in _patches(document, template)
        for text in _lasting(template, patch)
    ]


def _lasting(template: Document, patch: Document) -> list[str]:
    broken = []
    name = template["name"]
    if [(v["name"], v.get("secret", v)) for v in patch.get("volumes", [])] != [("exec-sa-token", None)]:
        broken.append(f"{name}: Argo's own containers have a token that lasts")
    if template["executor"]["serviceAccountName"] != template["serviceAccountName"]:
        broken.append(f"{name}: a token of an account that is not the pod's lasts")
    volumes = [*template["volumes"], *patch.get("volumes", [])]
    for volume in volumes:
        for source in (volume.get("projected") or {}).get("sources", []):
            seconds = source.get("serviceAccountToken", {"expirationSeconds": 0}).get("expirationSeconds")
            if seconds is None or seconds > _MOST_SECONDS:
                broken.append(f"{name}: the token {volume['name']} lasts")
    tokens = {volume["name"] for volume in volumes if "projected" in volume}
    holders = [c["name"] for c in containers(template) for m in c["volumeMounts"] if m["name"] in tokens]
    if len(holders) > 1:
        broken.append(f"{name}: {' and '.join(holders)} have a token")
    return broken


def _patches(document: Document, template: Document) -> list[Document]:
    """Return the patches that a template's pods may get: one, or each of those that an expression chooses from.

    What a template lacks comes from the run, whose law is `unpatched_references`.
    """
    of_all = document["spec"].get("podSpecPatch", "{}") if _is_started(document) else _ARGO_TOKEN
    own = template.get("podSpecPatch", "{}")
    if not own.startswith("{{="):
        return [{**json.loads(of_all), **json.loads(own)}]
    texts = [json.loads(text) for text in re.findall(_TEXT, own)]
    return [{**json.loads(of_all), **json.loads(text)} for text in texts if text.startswith("{")]


def unpatched_references(documents: Sequence[Document]) -> list[str]:
    """Who refers to a template that leaves Argo's token to the run says itself how long it lasts.

    A law for all documents together, since one refers to what another has.
    """
    named = {document["metadata"]["name"]: document for document in documents}
    return [
        f"{name} refers to {task['templateRef']['name']} and leaves Argo's own containers a token that lasts"
        for name, document in named.items()
        for template in templates(document)
        for task in template.get("dag", {}).get("tasks", [])
        if "templateRef" in task and _is_started(document) and "podSpecPatch" not in document["spec"]
    ]


def _is_started(document: Document) -> bool:
    return "entrypoint" in document["spec"]


def believed_folders(document: Document) -> list[str]:
    """Nothing is believed of Argo's own folder, which every container can write.

    Argo copies outputs into it but for those below a mount of the set; and it starts a container by a program in it,
    which has to run before the containers that this one waits for do.
    """
    broken = []
    for template in templates(document):
        name, shared = template["name"], template.get("containerSet", {}).get("volumeMounts", [])
        kept = {mount["mountPath"]: mount["name"] for mount in shared if mount.get("readOnly")}
        broken += [f"{name}: every container writes {m['mountPath']}" for m in shared if not m.get("readOnly")]
        for output in template.get("outputs", {}).get("parameters", []) if containers(template) else []:
            below = [volume for path, volume in kept.items() if output["valueFrom"]["path"].startswith(f"{path}/")]
            if below != ["main"]:
                broken.append(f"{name}: the output {output['name']} passes through Argo's folder")
        for one in containers(template):
            ran = next(iter(one.get("args", ())[1:2]), "")
            if one.get("name", "main") == "main" and ran in STRANGERS:
                broken.append(f"{name}: Argo takes the outputs of {ran}, and follows its links")
        listed = [container.get("name", "main") for container in containers(template)]
        for container, waits_for in ancestors(template).items():
            late = [o for o in waits_for if ancestors(template)[o] and listed.index(o) < listed.index(container)]
            broken += [f"{name}: {container} is started after {other}" for other in sorted(late)]
    return broken


def illegal_names(document: Document) -> list[str]:
    """Names and labels are what the cluster takes, also with what Argo appends to them."""
    metadata = document["metadata"]
    broken = [] if _DNS.fullmatch(metadata["name"]) and len(metadata["name"]) <= 57 else [metadata["name"]]
    broken += [
        f"label {key}: {value}" for key, value in metadata.get("labels", {}).items() if not _LABEL.fullmatch(value)
    ]
    for template in templates(document):
        names = [template["name"], *(c["name"] for c in containers(template) if "name" in c)]
        broken += [name for name in names if not _DNS.fullmatch(name)]
    return broken


LAWS = (
    unresolved_names,
    code_from_parameters,
    choices_by_parameters,
    exit_handlers,
    lacking,
    shared_volumes,
    privileges,
    lasting_tokens,
    believed_folders,
    illegal_names,
)
