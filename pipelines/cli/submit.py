"""`shipway submit TEMPLATE`: one workflow, from its compiled template."""

from __future__ import annotations

from pipelines.cli import running
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
    installed WorkflowTemplate of that name on the cluster that KUBECONFIG names.

    example: shipway submit clone-build-push -p repo=. -p revision=main -p path=apps/web
    """
    arguments: dict[str, str] = {}
    for text in options.parameter:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise Misuse("a parameter cannot be read", seen=repr(text), todo="write -p name=value")
        if name in arguments:
            raise Misuse("a parameter is given twice", seen=name, todo="give it once")
        arguments[name] = value
    source = (arguments.get("repo") or ".", arguments.get("revision", "HEAD"))
    result = running.EngineChoice(options.run).run(options.template, arguments, source=source)
    return running.report_outputs(options.run.follow, result)
