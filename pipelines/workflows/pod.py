"""Pods that run Shipway's own commands: what all containers of all workflows have in common.

Each container works in a folder of its own, on a volume that it alone can write. A container reads the folder of an
earlier one if its arguments name it (`--source=../clone/source`), through a mount that is read-only. So no container
that runs a stranger's files can change what was decided before it, or what later containers write.

Argo's own folder, /var/run/argo, all containers can write. So nothing that counts is left there once a stranger's files
run: Argo copies a pod's outputs into it, unless their path is below a mount that the set as a whole has; and its
executor, which it starts from there, runs in every container by then, since the kubelet starts them as they are listed.

A template that others reference has volumes, account, security, deadline and retry of its own: Argo takes nothing from
the spec of the WorkflowTemplate that holds a referenced template.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from hera.workflows import ContainerNode, ContainerSet, Parameter, RetryStrategy
from hera.workflows import models as m

from pipelines.step import results, signature
from pipelines.step.signature import Step
from pipelines.workflows.container_security import security
from pipelines.workflows.secrets import ROOT, Account, Secret, executor_token

_SHOWN = "what people see in place of the node's name; empty: that name"
DISPLAY_NAME = "workflows.argoproj.io/display-name"
IMAGE = "shipway"
"""Replaced by the chart; no parameter ever names an image."""
CONFIG_MAP = "shipway"
VARIABLES = "shipway-variables"
"""The ConfigMap with the same settings under the names of their environment variables."""
SERVICE_ACCOUNT = "shipway-workflow"
USER = 1000
_OUTPUTS = "out"
"""The folder of a container's results, in its own."""
RESULTS = "/results"
"""Where every container of a pod sees the folder of `main`, and none can write it; Argo reads the outputs there."""
_TEMPORARY = "10Gi"
"""The most that a container's /tmp holds; the largest of it is a clone of a repository."""
_NONE: Mapping[str, str] = {}
_AGAIN = "75|143"
"""Exit codes after which another attempt may succeed: "try again later", and SIGTERM, as when a node is drained."""
_EVICTED = "node was low on resource|imminent node shutdown|in order to admit critical pod"
"""The kubelet's messages for a pod that it ended for its node (kubernetes: pkg/kubelet, eviction, nodeshutdown and
preemption); Argo passes on only these. A pod that exceeded its own limit has another message."""
TRANSIENT = f"lastRetry.status == 'Error' || lastRetry.message matches 'code:? ({_AGAIN})([^0-9]|$)|{_EVICTED}'"
"""Argo's own failures (a pod deleted, a node lost), the codes and the evictions above. In a containerSet only the
message has the exit code of a container. It is the message of the first failed container by name: if that one never
ran, `dependency "clone" exited with non-zero code: 75`."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """The requests and limits of a container, in Kubernetes' units."""

    cpu: str
    memory: str
    most_cpu: str
    most_memory: str

    @property
    def resources(self) -> m.ResourceRequirements:
        """The container's resources."""
        return m.ResourceRequirements(
            requests={"cpu": m.Quantity(self.cpu), "memory": m.Quantity(self.memory)},
            limits={"cpu": m.Quantity(self.most_cpu), "memory": m.Quantity(self.most_memory)},
        )


@dataclass(frozen=True, kw_only=True)
class StepContainer:
    """A step in a container of a pod: its arguments, and the Secrets and folders that it mounts."""

    step: str
    name: str
    size: Size
    inputs: Sequence[str] = ()
    """Arguments that become inputs of the template, under their own names."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Arguments with a fixed value, such as folders, relative to the container's own; `../<container>/…` is an earlier
    container's."""
    more: str = ""
    """An input that holds more arguments, as a JSON object; empty for none."""
    secrets: Sequence[Secret | Account] = ()
    folders: Mapping[str, str] = field(default_factory=dict)
    """More empty folders of its own, beside the first, each with its greatest size."""
    after: Sequence[str] = ()
    user_namespaces: bool = False
    """Whether it runs a rootless builder, which maps user ids by newuidmap."""

    @property
    def described(self) -> Step:
        """The step's signature."""
        return signature.describe(self.step)

    def arguments(self) -> list[str]:
        """Return argv after the program, each argument one entry, so that no value can become an option.

        Raises ValueError for an argument that the step lacks, one that is missing, or a setting given as an input.
        """
        step = self.described
        words = ["step", step.name]
        for name in (*self.inputs, *self.fixed):
            argument = _argument(step, name)
            if argument.setting:
                raise ValueError(f"step {step.name}: {name} is a setting and never a parameter")
            value = self.fixed.get(name, f"{{{{inputs.parameters.{name}}}}}")
            words.append(f"--{name}={value}")
        given = {*self.inputs, *self.fixed}
        if missing := [a.name for a in step.arguments if a.required and not a.setting and a.name not in given]:
            raise ValueError(f"step {step.name} needs {', '.join(missing)}")
        if self.more:
            words.append(f"--arguments={{{{inputs.parameters.{self.more}}}}}")
        return [*words, f"--outputs={_OUTPUTS}"]

    @property
    def folder(self) -> str:
        """The folder that it works in."""
        return f"{ROOT}/{self.name}"

    @property
    def temporary(self) -> str:
        """The volume of its /tmp, which no other container sees."""
        return f"{self.name}-tmp"

    def reads(self, earlier: Collection[str]) -> list[str]:
        """Return those of the earlier containers whose folders its arguments name."""
        named = {PurePosixPath(value).parts[1] for value in self.fixed.values() if value.startswith("../")}
        return [name for name in earlier if name in named]

    def node(self, reads: Sequence[str]) -> ContainerNode:
        """Return the container, which can also read the folders of some earlier ones."""
        return ContainerNode(
            name=self.name,
            image=IMAGE,
            command=["shipway"],
            args=self.arguments(),
            dependencies=list(self.after) or None,
            working_dir=self.folder,
            env=self._variables or None,
            env_from=self._settings or None,
            resources=self.size.resources,
            security_context=security(user_namespaces=self.user_namespaces),
            volume_mounts=[
                m.VolumeMount(name=self.name, mount_path=self.folder),
                m.VolumeMount(name=self.temporary, mount_path="/tmp"),  # noqa: S108 - a volume of its own
                *(m.VolumeMount(name=name, mount_path=f"{ROOT}/{name}", read_only=True) for name in reads),
                *(m.VolumeMount(name=name, mount_path=f"{ROOT}/{name}") for name in self.folders),
                *(secret.mount for secret in self.secrets),
            ],
        )

    @property
    def _settings(self) -> list[m.EnvFromSource]:
        """All settings at once, for a container with a login: a Workflow stores every template that it may use.

        One that may run what others wrote gets those that its step reads, and no other.
        """
        if self._variables or not any(argument.setting for argument in self.described.arguments):
            return []
        return [m.EnvFromSource(config_map_ref=m.ConfigMapEnvSource(name=VARIABLES))]

    @property
    def _variables(self) -> list[m.EnvVar]:
        """The settings that the step reads, one by one."""
        if self.secrets and not self.user_namespaces:
            return []
        return [
            m.EnvVar(
                name=argument.variable,
                value_from=m.EnvVarSource(
                    config_map_key_ref=m.ConfigMapKeySelector(
                        name=CONFIG_MAP, key=argument.setting, optional=None if argument.required else True
                    )
                ),
            )
            for argument in self.described.arguments
            if argument.setting
        ]


def inputs(containers: Sequence[StepContainer]) -> list[Parameter]:
    """Return the inputs that the containers need together, required ones first; equal names are one input.

    What one step requires is required. They have no description: a Workflow stores the inputs of each of its nodes.
    Raises ValueError where two steps give one name different defaults.
    """
    found: dict[str, Parameter] = {}
    for container in containers:
        for name in container.inputs:
            argument = _argument(container.described, name)
            parameter = Parameter(name=name)
            if not argument.required:  # Hera would write a default of None as the text "null"
                parameter.default = results.text_of(argument.default)
            first = found.setdefault(name, parameter)
            if None not in {first.default, parameter.default} and first.default != parameter.default:
                raise ValueError(f"the input {name} has two defaults")
            if parameter.default is None:
                first.default = None
        if container.more:
            found.setdefault(container.more, Parameter(name=container.more))
    return sorted(found.values(), key=lambda parameter: isinstance(parameter.default, str))


def arguments(containers: Sequence[StepContainer]) -> list[Parameter]:
    """Return the same as a workflow's arguments, whose defaults are values, with what each of them is."""
    found = inputs(containers)
    for parameter in found:
        parameter.value, parameter.default = parameter.default, None
        name = str(parameter.name)
        parameter.description = next(_argument(c.described, name) for c in containers if name in c.inputs).help
    return found


def outputs(container: StepContainer, names: Sequence[str], defaults: Mapping[str, str] = _NONE) -> list[Parameter]:
    """Return the outputs that a container writes to files; raises ValueError for one that its step lacks."""
    step = container.described
    if unknown := sorted(set(names) - set(step.outputs)):
        raise ValueError(f"step {step.name} has no output {', '.join(unknown)}; it has {', '.join(step.outputs)}")
    return [
        Parameter(
            name=name,
            value_from=m.ValueFrom(path=f"{RESULTS}/{_OUTPUTS}/{name}", default=defaults.get(name)),
        )
        for name in names
    ]


@dataclass(kw_only=True)
class ShownPod(ContainerSet):
    """A pod with a name for people; Hera has annotations of pods, and none of templates."""

    shown_as: str = ""
    """The input that holds it; empty for none."""

    def _build_template(self) -> m.Template:
        found: m.Template = super()._build_template()
        if self.shown_as:
            found.annotations = {DISPLAY_NAME: f"{{{{inputs.parameters.{self.shown_as}}}}}"}
        return found


def pod(
    name: str,
    containers: Sequence[StepContainer],
    *,
    results: Sequence[str],
    deadline_seconds: int,
    workspace: str,
    account: str = SERVICE_ACCOUNT,
    defaults: Mapping[str, str] = _NONE,
    shown_as: str = "",
) -> ContainerSet:
    """Return a template that runs the containers in one pod; the outputs come from the last, which is named `main`.

    Each container's folder holds at most `workspace`. `defaults` are what outputs are where their files are missing, as
    after a pod that was killed; without one such a pod fails as a whole. `shown_as` is an input of no step, whose value
    people see in place of the node's name. Volumes are models, not Hera's own: Hera
    leaves the mount path of a ContainerSet's volumes out. Raises ValueError if a container reads the folder of one
    that has not ended when it starts.
    """
    if containers[-1].name != "main":
        raise ValueError("the outputs of a containerSet come from the container named main")
    secrets = dict.fromkeys(secret for container in containers for secret in container.secrets)
    return ShownPod(
        name=name,
        shown_as=shown_as,
        inputs=[*inputs(containers), *([Parameter(name=shown_as, default="", description=_SHOWN)] if shown_as else [])],
        outputs=outputs(containers[-1], results, defaults),
        containers=[container.node(container.reads(earlier)) for container, earlier in _listed(containers)],
        volume_mounts=[m.VolumeMount(name=containers[-1].name, mount_path=RESULTS, read_only=True)],
        volumes=[
            *(_scratch(container.name, workspace) for container in containers),
            *(_scratch(container.temporary, _TEMPORARY) for container in containers),
            *(_scratch(name, size) for container in containers for name, size in container.folders.items()),
            *(secret.volume for secret in secrets),
        ],
        active_deadline_seconds=str(deadline_seconds),  # the Argo SDK reads an IntOrString as text only
        service_account_name=account,
        automount_service_account_token=False,
        executor=m.ExecutorConfig(service_account_name=account),
        pod_spec_patch=executor_token(),
        pod_security_context=m.PodSecurityContext(
            run_as_non_root=True, run_as_user=USER, run_as_group=USER, fs_group=USER
        ),
        retry_strategy=RetryStrategy(
            limit="3",
            retry_policy="Always",
            expression=TRANSIENT,
            backoff=m.Backoff(duration="5s", factor=m.IntOrString(root="2"), max_duration="5m"),
        ),
    )


def _ordered(containers: Sequence[StepContainer]) -> Iterator[tuple[StepContainer, list[str]]]:
    """Give each container with the names of those that have ended when it starts.

    Raises ValueError if it reads the folder of another.
    """
    known = {container.name: container for container in containers}
    for container in containers:
        earlier = list(container.after)
        for name in earlier:  # grows while it is gone through
            earlier += [before for before in known[name].after if before not in earlier]
        if others := set(container.reads(known)) - set(earlier):
            raise ValueError(
                f"{container.name} reads the folder of {', '.join(sorted(others))} and does not come after it"
            )
        yield container, [name for name in known if name in earlier]


def _listed(containers: Sequence[StepContainer]) -> list[tuple[StepContainer, list[str]]]:
    """Return the same in the order in which the kubelet starts them: those that wait for nobody, then the last first.

    So what runs after a stranger's files has been started before them.
    """
    ordered = list(_ordered(containers))
    waiting = [pair for pair in ordered if pair[0].after]
    return [pair for pair in ordered if not pair[0].after] + waiting[::-1]


def _scratch(name: str, size: str) -> m.Volume:
    return m.Volume(name=name, empty_dir=m.EmptyDirVolumeSource(size_limit=m.Quantity(size)))


def _argument(step: Step, name: str) -> signature.Argument:
    try:
        return step.argument(name)
    except KeyError as error:
        raise ValueError(str(error.args[0])) from error
