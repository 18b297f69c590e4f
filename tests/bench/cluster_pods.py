"""What stands in the cluster beside Shipway while it is measured: a pod to type in, and the system that Shipway
replaces.

That system is written here for the measurement, after its shape: Argo's git artifact into a volume, a pod that builds
with a builder of its own and a registry cache in mode=max, and a pod that tells of the end. Its volume is one that
stands, or, as in the system itself, one that each run makes and waits for in a step before the others. It runs the same
image on the same controller, so what differs is the shape.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from pipelines.workflows.secrets import executor_token
from tests.e2e.installation import Installation
from tests.e2e.place import kubectl

HAND = "by-hand"
_LABEL = "shipway.io/bench"
ROOTLESS = {
    "allowPrivilegeEscalation": True,
    "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
    "seccompProfile": {"type": "Unconfined"},
    "appArmorProfile": {"type": "Unconfined"},
}
USER = {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000}
# What `build` of clone-build-push may use; they ask for less, so that a small node has room for all that is compared.
RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "4", "memory": "8Gi"}}
BUILD = """
buildctl --addr "$1" build --frontend dockerfile.v0 --local "context=$2" --local "dockerfile=$2" \
  --output "type=image,name=$3,push=true,registry.insecure=true" ${4:+\
  --export-cache "type=registry,ref=$4,mode=max,registry.insecure=true" \
  --import-cache "type=registry,ref=$4,registry.insecure=true"}
"""
# $1: the commit's folder or repository, $2: the image, $3: the cache.
STANDING = f"""
set -e; build() {{ {BUILD} }}
rm -rf /work/source; git clone --quiet --depth 1 "$1" /work/source
build unix:///work/buildkitd.sock /work/source "$2"
"""
OWN = f"""
set -e; build() {{ {BUILD} }}
into=$(mktemp -d /work/XXXXXX); source=$1
case "$1" in http*) source=$into/source; git clone --quiet --depth 1 "$1" "$source";; esac
rootlesskit buildkitd --rootless --root "$into/root" --addr "unix://$into/socket" \
  --oci-worker-no-process-sandbox --config /configuration/buildkitd.toml 2> "$into/log" & daemon=$!
until buildctl --addr "unix://$into/socket" debug workers > /dev/null 2>&1; do sleep 0.1; done
build "unix://$into/socket" "$source" "$2" "$3"
kill "$daemon"; wait "$daemon" || true
"""


def stand(installation: Installation) -> None:
    """Make the pod to type in, with a standing buildkitd beside
    it, and the volume of the replaced system; wait for both.
    """
    place, registry = installation.namespace, installation.where.registry
    toml = (
        '[otel]\nsocketPath = "/tmp/otel.sock"\n[worker.containerd]\nenabled = false\n'
        f'[registry."{registry}"]\nhttp = true\n'
    )
    _create(place, "ConfigMap", HAND, data={"buildkitd.toml": toml})
    daemon = ["rootlesskit", "buildkitd", "--rootless", "--root=/work/buildkit", "--addr=unix:///work/buildkitd.sock"]
    options = ["--oci-worker-no-process-sandbox", "--config=/configuration/buildkitd.toml"]
    containers = [
        _container(installation, "buildkitd", [*daemon, *options]),
        _container(installation, "shell", ["sleep", "infinity"]),
    ]
    pod = {"containers": containers, "volumes": [_configuration(), _empty("work"), _empty("tmp")]}
    _create(place, "Pod", HAND, spec={**pod, "securityContext": USER, "automountServiceAccountToken": False})
    _volume(place)
    kubectl(place, "wait", "--for=condition=Ready", "--timeout=300s", f"pod/{HAND}")


def type_in(installation: Installation, script: str, *words: str) -> str:
    """Run a script in the pod and return what it wrote."""
    return kubectl(installation.namespace, "exec", HAND, "-c", "shell", "--", "sh", "-c", script, "sh", *words)


def replaced(
    installation: Installation, repo: str, image: str, cache: str, claim: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the Workflow of the replaced system for the head of a
    branch: it makes what is claimed, or takes the standing volume.
    """
    source = {"name": "source", "path": "/work/{{workflow.name}}", "git": {"repo": repo, "revision": "main"}}
    shared = [{"name": "source", "persistentVolumeClaim": {"claimName": "{{workflow.name}}" if claim else HAND}}]
    fetch = {**_container(installation, "", ["ls", "/work/{{workflow.name}}"]), "securityContext": {"runAsUser": 0}}
    fetch["volumeMounts"] = [{"name": "source", "mountPath": "/work"}]
    build = _container(installation, "", ["sh", "-c", OWN, "sh", "/source/{{workflow.name}}", image, cache])
    build["volumeMounts"].append({"name": "source", "mountPath": "/source", "readOnly": True})
    told = f"http://{installation.where.registry}/v2/"
    notify = _container(installation, "", ["python3", "-c", f"import urllib.request as r; r.urlopen({told!r})"])
    tasks = [
        {"name": "fetch", "template": "fetch", **({"depends": "volume"} if claim else {})},
        {"name": "build", "template": "build", "depends": "fetch"},
    ]
    made = [_made_volume(claim)] if claim else []
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "replaced-"},
        "spec": {
            "entrypoint": "all",
            "onExit": "notify",
            "serviceAccountName": "shipway-workflow",
            "automountServiceAccountToken": False,
            "executor": {"serviceAccountName": "shipway-workflow"},
            "podSpecPatch": executor_token(),
            "volumes": [_configuration(), _empty("work"), _empty("tmp")],
            "templates": [
                {
                    "name": "all",
                    "dag": {"tasks": [*({"name": one["name"], "template": one["name"]} for one in made), *tasks]},
                },
                *made,
                {
                    "name": "fetch",
                    "volumes": shared,
                    "inputs": {"artifacts": [source]},
                    "container": fetch,
                    "securityContext": {"runAsUser": 0},
                },
                {"name": "build", "volumes": shared, "container": build, "securityContext": USER},
                {"name": "notify", "container": notify, "securityContext": USER},
            ],
        },
    }


def forget(place: str) -> None:
    """Remove what does not end with the namespace."""
    chosen = f"--selector={_LABEL}={place}"
    kubectl(place, "delete", "persistentvolume", chosen, "--ignore-not-found", "--wait=false")


def _container(installation: Installation, name: str, command: list[str]) -> dict[str, Any]:
    mounts = [("work", "/work"), ("tmp", "/tmp"), ("configuration", "/configuration")]
    return {
        **({"name": name} if name else {}),
        "image": installation.where.image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [{"name": "XDG_RUNTIME_DIR", "value": "/tmp"}, {"name": "HOME", "value": "/tmp"}],
        "resources": RESOURCES,
        "securityContext": ROOTLESS,
        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in mounts],
    }


def _volume(place: str) -> None:
    """Claim a volume that stands, and let Argo's executor claim others."""
    _create(place, "PersistentVolumeClaim", HAND, spec=claim(place))
    rules = [{"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["create", "get"]}]
    _create(place, "Role", HAND, apiVersion="rbac.authorization.k8s.io/v1", rules=rules)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": HAND}
    subjects = [{"kind": "ServiceAccount", "name": "shipway-workflow", "namespace": place}]
    _create(place, "RoleBinding", HAND, apiVersion="rbac.authorization.k8s.io/v1", roleRef=role, subjects=subjects)


def _made_volume(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the template that makes a run's volume and waits until it is bound."""
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "{{workflow.name}}"}}
    resource = {"action": "create", "setOwnerReference": True, "successCondition": "status.phase == Bound"}
    return {"name": "volume", "resource": {**resource, "manifest": json.dumps({**claim, "spec": spec})}}


def claim(place: str) -> dict[str, Any]:
    """Return a claim for the cluster's own classes of volumes, or else for a folder of its one node, which is made."""
    wanted: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    if json.loads(kubectl(place, "get", "storageclass", "-o", "json"))["items"]:
        return wanted
    name = f"{place}-{secrets.token_hex(3)}"
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "hostPath": {"path": f"/tmp/{name}", "type": "DirectoryOrCreate"},
        "persistentVolumeReclaimPolicy": "Delete",
    }
    _create(place, "PersistentVolume", name, labels={_LABEL: place}, spec=spec)
    return {**wanted, "storageClassName": "", "volumeName": name}


def _create(place: str, kind: str, name: str, *, labels: dict[str, str] | None = None, **content: object) -> None:
    metadata = {"name": name, "labels": labels or {}}
    kubectl(place, "create", "-f", "-", given={"apiVersion": "v1", "kind": kind, "metadata": metadata, **content})


def _configuration() -> dict[str, Any]:
    return {"name": "configuration", "configMap": {"name": HAND}}


def _empty(name: str) -> dict[str, Any]:
    return {"name": name, "emptyDir": {}}
