"""`shipway impact`: what a commit changes in the applications of every environment, rendered without a cluster."""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.cli import json_output, repository, secrets
from pipelines.cli import options as cli_options
from pipelines.cli.command import flag, flags, group, switch
from pipelines.cli.options import RepositoryOptions, SettingsOptions
from pipelines.engines.embedded import state_folder
from pipelines.impact import compare as page
from pipelines.impact.gather import EVERYBODY, impact_gather
from pipelines.impact.impact import bounded, impact_of
from pipelines.impact.model import Gathered, Impact
from pipelines.step import signature
from pipelines.step.groups import ChartSettings, CommitInputs, ReadLogins


@flags
class ImpactOptions(RepositoryOptions):
    """What to compare, and with what."""

    base: str = flag(
        "branch, tag or commit to compare with, from the last commit that both have (default: HEAD)", default=""
    )
    environments: str = cli_options.environments()
    settings: SettingsOptions = group(SettingsOptions)
    json: bool = switch("print the result as one JSON object")


def run(options: ImpactOptions) -> int:
    """Render every application that a commit touches, as it is and as it would be, and print the difference.

    For a repository with charts these are the applications of the environments repository that use a chart which
    differs; for the environments repository itself, those whose own files differ; what is not committed does not count.
    Secrets are masked; labels of versions, checksums and order are no change. No cluster is asked.

    example: shipway impact . --revision feature --base main --settings settings.yaml
    """
    repo = repository.named(options.repo, examples=options.examples)
    settings = cli_options.read_settings(options.settings, embedded=True, examples=options.examples)
    repo = repo or repository.examples(options.settings.state, settings)
    with tempfile.TemporaryDirectory(prefix="shipway-impact-") as work, ThreadPoolExecutor(max_workers=1) as beside:
        folder = Path(work) / "impact"
        helm = bounded(Path(work) / "helm", settings.get("kubernetes-version", ""))
        version = beside.submit(helm.version)  # a twentieth of a second, in which gathering waits for Git
        gathered = impact_gather(
            inputs=CommitInputs(repo=repo, revision=options.revision),
            base=options.base,
            logins=ReadLogins(
                credentials=secrets.secret(settings, "shipway-git"),
                docker_config=secrets.secret(settings, "shipway-pull"),
            ),
            folder=folder,
            shown_to=EVERYBODY,
            environments=cli_options.environments_settings(settings, options.environments),
            settings=signature.from_settings(ChartSettings, settings),
        )
        if gathered.commit == gathered.base:
            sys.stderr.write(
                f"{gathered.commit} is compared with itself: name another commit with --revision or --base\n"
            )
        state_folder.make(options.settings.state)
        kept = Path(settings["cache"]) / "rendered"
        impact = impact_of(gathered, helm, version.result(), folder=folder, kept=kept)
    if options.json:
        json_output.write(vars(impact))
    else:
        sys.stdout.write(_terminal(gathered, impact))
    return 0


def _terminal(gathered: Gathered, impact: Impact) -> str:
    """Return every difference as text for a terminal, in full."""
    lines = [impact.markdown.splitlines()[0].replace("*", "")]
    lines += [str(finding) for finding in gathered.findings]
    for item in impact.impact:
        versions = item.after if item.before == item.after else f"{item.before or 'new'} → {item.after or 'gone'}"
        lines.append(f"\n{item.environment}/{item.application}: {item.chart} {versions}")
        if item.fault:
            lines.append(
                f"  cannot be rendered{', nor could it before' if item.was_broken else ' any more'}: {item.fault}"
            )
        for change in item.changes:
            lines.append(f"  {page.WORDS[change.action]} {change.name}")
            lines += [f"    {line}" for line in change.diff.splitlines()]
    return "\n".join(lines) + "\n"
