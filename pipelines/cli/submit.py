"""`shipway submit TEMPLATE`: one workflow, from its compiled template."""

from __future__ import annotations

from pipelines.cli import repository, running
from pipelines.cli.command import flags, group, positional, repeated
from pipelines.cli.options import BuildRunOptions
from pipelines.errors import Misuse


@flags
class SubmitOptions:
    """What to run, and how."""

    template: str = positional("the WorkflowTemplate's name, as in charts/shipway/files")
    parameter: tuple[str, ...] = repeated("an argument; may be repeated", "-p", "--parameter", metavar="NAME=VALUE")
    run: BuildRunOptions = group(BuildRunOptions)


def run(options: SubmitOptions) -> int:
    """Run a compiled WorkflowTemplate on this machine, as Argo would run it on a cluster; or, with --engine argo, the
    installed WorkflowTemplate of that name on the cluster that KUBECONFIG names. On this machine,
    a template that has a parameter `repo` gets the repository of this folder if none is given.

    example: shipway submit clone-build-push -p revision=main -p path=apps/web
    """
    arguments: dict[str, str] = {}
    for text in options.parameter:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise Misuse("a parameter cannot be read", seen=repr(text), todo="write -p name=value")
        if name in arguments:
            raise Misuse("a parameter is given twice", seen=name, todo="give it once")
        arguments[name] = value
    engine = running.EngineChoice(options.run)
    if not (options.run.on_cluster or arguments.keys() & {"repo", "event"}) and _is_of_a_repository(options.template):
        arguments |= {"repo": own} if (own := repository.of_this_folder()) else {}
    source = (arguments.get("repo") or ".", arguments.get("revision", "HEAD"))
    return running.report_outputs(options.run.follow, engine.run(options.template, arguments, source=source))


def _is_of_a_repository(template: str) -> bool:
    from pipelines.engines.local import documents  # noqa: PLC0415 - only if no repository is named

    found = documents.load(running.TEMPLATES.glob("*.yaml")).by_name.get(template)
    parameters = found.value["spec"].get("arguments", {}).get("parameters", ()) if found else ()
    return any(parameter["name"] == "repo" for parameter in parameters)
