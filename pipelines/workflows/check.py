"""`check`: everything that a commit declares, tried for a pull request in circumstances that a stranger may have: nothing is published.

No pod has a token, a login that can write, a build secret, a cache or a builder of anybody else. What pulls and clones never runs
what strangers wrote, and what runs it holds nothing.
"""

from __future__ import annotations

from dataclasses import replace

from hera.workflows import ContainerSet, Parameter, Task, WorkflowTemplate

from pipelines.release.batches import MOST_BATCHES
from pipelines.workflows import clone_build_push
from pipelines.workflows import pod as workflow_pod
from pipelines.workflows.dag import Unhurried, arguments, ended, inputs, outputs, repeated
from pipelines.workflows.pod import Size, StepContainer, pod
from pipelines.workflows.secrets import CHECK_PULL, GIT
from pipelines.workflows.start import PLANNER, PLANNING_SECONDS, SMALL
from pipelines.workflows.workflow_template import workflow_template

NAME = "check"
DEADLINE_SECONDS = 4 * 3600
_LOGINS = {"credentials": "../git", "docker-config": "../pull"}
_BATCHES = tuple(f"batch-{number}" for number in range(1, MOST_BATCHES + 1))

PLAN = StepContainer(
    step="plan",
    name="main",
    size=PLANNER,
    inputs=("repo", "revision", "ref"),
    fixed=_LOGINS,
    secrets=(GIT, CHECK_PULL),
)
AGAIN = replace(PLAN, name="again", inputs=(*PLAN.inputs, "now", "builder-version"))
CLONE = StepContainer(
    step="check-clone",
    name="clone",
    size=clone_build_push.CLONE.size,
    inputs=("repo", "images"),
    fixed={"planned": "out/again", **_LOGINS},
    secrets=(GIT, CHECK_PULL),
    after=("again",),
)
BUILD = StepContainer(
    step="check-build",
    name="main",
    size=clone_build_push.BUILD.size,
    fixed={"trial": "out/clone"},
    folders={"cache": "50Gi"},
    after=("clone",),
    user_namespaces=True,
)
CHART_CLONE = StepContainer(
    step="chart-clone",
    name="clone",
    size=clone_build_push.CLONE.size,
    inputs=("repo", "revision", "ref"),
    fixed=_LOGINS,
    secrets=(GIT, CHECK_PULL),
)
CHARTS = StepContainer(
    step="chart-check",
    name="main",
    size=Size(cpu="200m", memory="256Mi", most_cpu="4", most_memory="2Gi"),
    fixed={"checkout": "out/clone"},
    after=("clone",),
)
GATHER = StepContainer(
    step="impact-gather",
    name="gather",
    size=clone_build_push.CLONE.size,
    inputs=("repo", "revision"),
    fixed=_LOGINS,
    secrets=(GIT, CHECK_PULL),
)
IMPACT = StepContainer(
    step="impact", name="main", size=CHARTS.size, fixed={"gathered": "out/gather"}, after=("gather",)
)
VERDICT = StepContainer(
    step="check-verdict",
    name="main",
    size=SMALL,
    inputs=(*_BATCHES, "charts"),
    fixed={"planned": "out/again"},
    after=("again",),
)


def check() -> WorkflowTemplate:
    """Return the WorkflowTemplate; its first template can be referenced from others."""
    return workflow_template(
        [_check(), *_pods()],
        title="Builds and checks whatever a commit declares and the registry lacks, and publishes nothing",
        arguments=workflow_pod.arguments((PLAN,)),
        deadline_seconds=DEADLINE_SECONDS,
    )


def _pods() -> list[ContainerSet]:
    seconds = PLANNING_SECONDS
    return [
        pod(
            "plan",
            (PLAN,),
            results=("commit", "ref", "now", "builder-version", "batches", *_BATCHES, "charts"),
            deadline_seconds=seconds,
            workspace="10Gi",
        ),
        pod(
            "try-images",
            (AGAIN, CLONE, BUILD),
            results=("report", "built", "failed"),
            # A pod that was killed leaves no files; the verdict says which images nobody heard of.
            defaults={"report": "", "built": "0", "failed": "0"},
            deadline_seconds=clone_build_push.DEADLINE_SECONDS,
            workspace="50Gi",
        ),
        pod(
            "try-charts",
            (CHART_CLONE, CHARTS),
            results=("report", "errors", "warnings"),
            defaults={"report": "", "errors": "0", "warnings": "0"},
            deadline_seconds=3600,
            workspace="10Gi",
        ),
        pod(
            "impact",
            (GATHER, IMPACT),
            results=("markdown", "changed", "broken"),
            defaults={"markdown": "", "changed": "0", "broken": "0"},
            deadline_seconds=seconds,
            workspace="10Gi",
        ),
        pod(
            "verdict",
            (AGAIN, VERDICT),
            results=("verdict", "commit", "summary"),
            deadline_seconds=seconds,
            workspace="10Gi",
        ),
    ]


def _check() -> Unhurried:
    """Return what is tried: a few pods build, one looks at the charts, and the verdict waits for all of them."""
    found = outputs("plan", "commit", "ref", "now", "builder-version", "batches", *_BATCHES, "charts")
    commit = {**inputs("repo"), "revision": found["commit"], "ref": found["ref"]}
    again = {**commit, "now": found["now"], "builder-version": found["builder-version"]}
    tries = [
        Task(
            name=f"images-{number}",
            template="try-images",
            depends="plan.Succeeded",
            when=f"{found['batches']} >= {number}",
            arguments=arguments({**again, "images": found[batch]}),
        )
        for number, batch in enumerate(_BATCHES, start=1)
    ]
    charts = Task(
        name="charts",
        template="try-charts",
        depends="plan.Succeeded",
        when=f"{found['charts']} > 0",
        arguments=arguments(commit),
    )
    impact = Task(
        name="impact",
        template="impact",
        depends="plan.Succeeded",
        arguments=arguments({**inputs("repo"), "revision": found["commit"]}),
    )
    reports = {batch: outputs(task.name, "report")["report"] for batch, task in zip(_BATCHES, tries, strict=True)}
    verdict = Task(
        name="verdict",
        template="verdict",
        depends=f"plan.Succeeded && {ended(*(task.name for task in tries), 'charts', 'impact')}",
        arguments=arguments({**again, **reports, "charts": outputs("charts", "report")["report"]}),
    )
    return Unhurried(
        name=NAME,
        inputs=[Parameter(name=name) for name in PLAN.inputs],
        fail_fast=False,
        tasks=[
            Task(name="plan", template="plan", arguments=arguments(inputs(*PLAN.inputs))),
            *tries,
            charts,
            impact,
            verdict,
        ],
        outputs=repeated("verdict", "commit", "verdict"),
    )
