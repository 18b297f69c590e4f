"""`check`: tries everything that a commit declares, for a pull request, and publishes nothing.

No pod has a token, a login that can write, a build secret, a shared cache or a shared builder. The containers that pull
and clone never run what strangers wrote, and the containers that run it have no login.
"""

from __future__ import annotations

from dataclasses import replace

from hera.workflows import DAG, ContainerSet, Parameter, Task, WorkflowTemplate

from pipelines.release.batches import MOST_BATCHES
from pipelines.workflows import chart_release, clone_build_push, start, work
from pipelines.workflows import pod as workflow_pod
from pipelines.workflows.dag import Unhurried, apart, arguments, ended, inputs, outputs, reference, repeated
from pipelines.workflows.pod import StepContainer, pod
from pipelines.workflows.secrets import CHECK_PULL, GIT, READ_LOGINS
from pipelines.workflows.start import PLANNING_SECONDS, SMALL
from pipelines.workflows.workflow_template import workflow_template

NAME = "check"
DEADLINE_SECONDS = 4 * 3600
_BATCHES = tuple(f"batch-{number}" for number in range(1, MOST_BATCHES + 1))

PLAN = replace(work.PLAN, inputs=("repo", "revision", "ref"), secrets=(GIT, CHECK_PULL))
AGAIN = replace(PLAN, name="again", inputs=(*PLAN.inputs, "now", "builder-version"))
CLONE = StepContainer(
    step="check-clone",
    name="clone",
    size=clone_build_push.CLONE.size,
    inputs=("repo", "images"),
    fixed={"planned": "../again/out", **READ_LOGINS},
    secrets=(GIT, CHECK_PULL),
    after=("again",),
)
BUILD = StepContainer(
    step="check-build",
    name="build",
    size=clone_build_push.BUILD.size,
    fixed={
        "trial": "../clone/out",
        "source": "../clone/source",
        "contexts": "../clone/contexts",
        "bases": "../clone/bases",
    },
    folders={"cache": "50Gi"},
    after=("clone",),
    user_namespaces=True,
)
CHART_CLONE = replace(chart_release.CLONE, inputs=PLAN.inputs, secrets=PLAN.secrets)
GATHER = replace(CHART_CLONE, step="impact-gather", name="gather", inputs=("repo", "revision"))
IMPACT = StepContainer(
    step="impact",
    name="render",
    size=chart_release.CHECK.size,
    fixed={"gathered": "../gather/out", "folder": "../gather/impact"},
    after=("gather",),
)
VERDICT = StepContainer(
    step="check-verdict",
    name="main",
    size=SMALL,
    inputs=(*_BATCHES, "charts"),
    fixed={"planned": "../again/out"},
    after=("again",),
)


def check() -> WorkflowTemplate:
    """Return the WorkflowTemplate; others may refer to its first template."""
    return workflow_template(
        [_check(), *_pods()],
        title="Builds and checks whatever a commit declares and the registry lacks, and publishes nothing",
        arguments=workflow_pod.arguments((PLAN,)),
        deadline_seconds=DEADLINE_SECONDS,
    )


def task(*, depends: str, template: str = "") -> Task:
    """Return the task of a workflow that checks what its first pod put into the untrusted lane.

    By a reference, unless there is a `template` beside it.
    """
    return Task(
        name=NAME,
        template=template or None,
        template_ref=None if template else reference(NAME),
        depends=depends,
        when=start.in_lane("untrusted"),
        arguments=arguments(outputs(start.NAME, "repo", "revision", "ref")),
    )


def untrusted() -> DAG:
    """Return a DAG that checks, whose templates a run stores only if it comes to that."""
    return apart("untrusted", NAME, NAME, NAME, PLAN.inputs)


def _passing(step: str, before: StepContainer) -> StepContainer:
    """Return the `main` of a pod whose last container but it runs what strangers wrote."""
    fixed = {"result": f"../{before.name}/out"}
    return StepContainer(step=step, name="main", size=SMALL, fixed=fixed, after=(before.name,))


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
            (AGAIN, CLONE, BUILD, _passing("pass-on-images", BUILD)),
            results=("report", "built", "failed"),
            # A pod that was killed leaves no files; the verdict names the images without a report.
            defaults={"report": "", "built": "0", "failed": "0"},
            deadline_seconds=clone_build_push.DEADLINE_SECONDS,
            workspace="50Gi",
        ),
        pod(
            "try-charts",
            (CHART_CLONE, chart_release.CHECK, _passing("pass-on-charts", chart_release.CHECK)),
            results=("report", "errors", "warnings"),
            defaults={"report": "", "errors": "0", "warnings": "0"},
            deadline_seconds=3600,
            workspace="10Gi",
        ),
        pod(
            "impact",
            (GATHER, IMPACT, _passing("pass-on-impact", IMPACT)),
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
    """Return the DAG: pods that build, one that checks the charts, one for the impact, and the verdict after all."""
    plan = outputs("plan", "commit", "ref", "now", "builder-version", "batches", *_BATCHES, "charts")
    commit = {**inputs("repo"), "revision": plan["commit"], "ref": plan["ref"]}
    again = {**commit, "now": plan["now"], "builder-version": plan["builder-version"]}
    tries = [
        Task(
            name=f"images-{number}",
            template="try-images",
            depends="plan.Succeeded",
            when=f"{plan['batches']} >= {number}",
            arguments=arguments({**again, "images": plan[batch]}),
        )
        for number, batch in enumerate(_BATCHES, start=1)
    ]
    charts = Task(
        name="charts",
        template="try-charts",
        depends="plan.Succeeded",
        when=f"{plan['charts']} > 0",
        arguments=arguments(commit),
    )
    impact = Task(
        name="impact",
        template="impact",
        depends="plan.Succeeded",
        arguments=arguments({**inputs("repo"), "revision": plan["commit"]}),
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
