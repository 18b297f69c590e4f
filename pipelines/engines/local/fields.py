"""The fields of Argo's documents that this engine runs, and those that it ignores.

READ lists the fields with the same effect as in Argo. PASSED_OVER lists fields that only place, limit or clean up a
pod, each with the reason why a run on this machine may ignore it. A field in neither table is refused by name before
anything starts. Field names: Argo's docs/fields.md, version 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping

READ: Mapping[str, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        "document": "apiVersion kind metadata spec",
        "spec": "entrypoint onExit arguments templates volumes activeDeadlineSeconds parallelism",
        "workflow arguments": "parameters",
        "workflow parameter": "name value valueFrom enum",
        "template": "name inputs outputs container containerSet dag volumes retryStrategy activeDeadlineSeconds timeout"
        " parallelism synchronization",
        "inputs": "parameters",
        "input": "name value default valueFrom",
        "input source": "configMapKeyRef default",
        "outputs": "parameters",
        "output": "name valueFrom",
        "output of a pod": "path default",
        "output of a DAG": "parameter default",
        "dag": "tasks failFast",
        "task": "name template templateRef arguments depends dependencies when withItems withParam continueOn",
        "continueOn": "failed error",
        "templateRef": "name template",
        "arguments": "parameters",
        "argument": "name value",
        "container": "name command args env envFrom workingDir volumeMounts",
        "container of a set": "name command args env envFrom workingDir volumeMounts dependencies",
        "containerSet": "containers volumeMounts",
        "env": "name value valueFrom",
        "envFrom": "configMapRef",
        "configMapRef": "name",
        "env source": "configMapKeyRef secretKeyRef",
        "key": "name key optional",
        "volumeMount": "name mountPath",
        "volume": "name emptyDir secret configMap projected",
        "emptyDir": "",
        "projected": "sources",
        "source of a token": "",
        "secret": "secretName items optional",
        "configMap": "name items optional",
        "item of a volume": "key path",
        "retryStrategy": "limit retryPolicy backoff expression",
        "backoff": "duration factor maxDuration cap",
        "synchronization": "mutexes",
        "mutex": "name",
    }.items()
}

_WHERE = "says where a pod runs; here every command runs on this machine"
_IMAGE = "commands run in this machine's environment, not in the image"
_RIGHTS = "says what a pod may do; here a command may do what its user may"
_ACCOUNT = "says who a pod is to the cluster; there is none here"
_LIMITS = "bounds a pod's share of a machine; here `--jobs` bounds how many run"
_CLEANUP = "says when the cluster forgets; here the run's folder is kept or removed as a whole"
_LABELS = "describes objects of the cluster; none are made here"
_PATCH = "changes a pod of the cluster; one that changes more than Argo's token is refused"
_TEXT = "is for people"

PASSED_OVER: Mapping[str, Mapping[str, str]] = {
    "spec": {
        "affinity": _WHERE,
        "archiveLogs": "logs are files of the run's folder here",
        "automountServiceAccountToken": _ACCOUNT,
        "dnsConfig": _WHERE,
        "dnsPolicy": _WHERE,
        "executor": _ACCOUNT,
        "hostAliases": _WHERE,
        "imagePullSecrets": _IMAGE,
        "nodeSelector": _WHERE,
        "podDisruptionBudget": _WHERE,
        "podGC": _CLEANUP,
        "podMetadata": _LABELS,
        "podPriorityClassName": _WHERE,
        "podResources": _LIMITS,
        "podSpecPatch": _PATCH,
        "priority": "orders workflows that wait for each other; one runs here",
        "schedulerName": _WHERE,
        "securityContext": _RIGHTS,
        "serviceAccountName": _ACCOUNT,
        "synchronization": "keeps a cluster's workflows apart; runs here guard the stores they share themselves",
        "tolerations": _WHERE,
        "ttlStrategy": _CLEANUP,
        "volumeClaimGC": _CLEANUP,
        "workflowMetadata": _LABELS,
    },
    "template": {
        "affinity": _WHERE,
        "annotations": _LABELS,
        "archiveLocation": "logs are files of the run's folder here",
        "automountServiceAccountToken": _ACCOUNT,
        "executor": _ACCOUNT,
        "hostAliases": _WHERE,
        "metadata": _LABELS,
        "metrics": "is counted by the cluster's controller",
        "nodeSelector": _WHERE,
        "pendingTimeout": "bounds the wait for a place in the cluster; here a command starts at once",
        "podResources": _LIMITS,
        "podSpecPatch": _PATCH,
        "priorityClassName": _WHERE,
        "schedulerName": _WHERE,
        "securityContext": _RIGHTS,
        "serviceAccountName": _ACCOUNT,
        "tolerations": _WHERE,
    },
    "workflow parameter": {"description": _TEXT},
    "input": {"description": _TEXT},
    "output": {"description": _TEXT},
    "container": {
        "image": _IMAGE,
        "imagePullPolicy": _IMAGE,
        "resources": _LIMITS,
        "securityContext": _RIGHTS,
        "terminationMessagePath": "is where Argo's executor leaves its own errors",
        "terminationMessagePolicy": "is where Argo's executor leaves its own errors",
    },
    "volumeMount": {
        "readOnly": "keeps a container from writing; a laptop has folders and no mounts: a command writes as its user"
    },
    "emptyDir": {"medium": _LIMITS, "sizeLimit": _LIMITS},
    "projected": {"defaultMode": _ACCOUNT},
    "source of a token": {"serviceAccountToken": _ACCOUNT, "configMap": _ACCOUNT, "downwardAPI": _ACCOUNT},
    "secret": {"defaultMode": "files of Secrets are readable by their owner alone here"},
    "configMap": {"defaultMode": "files of ConfigMaps are readable here"},
    "item of a volume": {"mode": "files of Secrets are readable by their owner alone here"},
    "retryStrategy": {"affinity": _WHERE},
    "mutex": {"namespace": _WHERE, "database": _WHERE},
}
"""Field and reason, for each kind of object; a container of a set has those of a container."""


def unknown(kind: str, names: frozenset[str]) -> list[str]:
    """Return the fields that are in neither table, sorted."""
    passed_over = PASSED_OVER.get("container" if kind == "container of a set" else kind, {})
    return sorted(names - READ[kind] - passed_over.keys())
