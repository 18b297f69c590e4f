"""What the pods of an application run, as their nodes report it.

Argo CD's Application has the images that its objects name. A tag in a name says nothing of what was pulled for it, so
the pods themselves are asked, in the cluster that is asked for the Applications. They belong to an application by the
objects that own them, of which Argo CD lists the uppermost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.tools.kubernetes import Denied, Lost

_OWN_CLUSTER = frozenset({"https://kubernetes.default.svc", "in-cluster"})
"""The server and the name of Argo CD's own cluster, in a destination."""
_HASH_LABELS = ("pod-template-hash", "rollouts-pod-template-hash")
"""Labels of pods with the end of their ReplicaSet's name, of a Deployment and of a Rollout."""
Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunningImage:
    """An image that a container of an application's pods runs."""

    image: str
    """As the pod names it, without tag and digest."""
    digest: str
    """As its node reports it: of an index or of one platform's manifest or, of some nodes, of the configuration."""


@dataclass(frozen=True, kw_only=True)
class RunningImages:
    """What the pods of an application run; `unknown` says why that is not known."""

    found: tuple[RunningImage, ...] = ()
    unknown: str = ""


@dataclass(kw_only=True)
class LivePods:
    """The pods of a cluster, asked for by namespace, each once."""

    ask: Callable[[str], Document]
    """Returns the document at a path of the API; raises Denied or Lost."""
    denied: dict[str, str] = field(default_factory=dict)
    """Why pods cannot be listed, by namespace; a right that is lacking now is not asked for again."""
    _pods: dict[str, Sequence[Document]] = field(default_factory=dict)

    def of(self, application: Document) -> RunningImages:
        """Return what an Application's pods run."""
        destination = (application.get("spec") or {}).get("destination") or {}
        cluster = str(destination.get("name") or destination.get("server") or "")
        if cluster not in _OWN_CLUSTER:
            return RunningImages(unknown=f"it runs in another cluster, {cluster or 'which is not named'}")
        resources = (application.get("status") or {}).get("resources") or ()
        owners = {
            (str(item.get("namespace") or ""), str(item.get("kind") or ""), str(item.get("name") or ""))
            for item in resources
        }
        found: list[RunningImage] = []
        for namespace in sorted({namespace for namespace, _, _ in owners if namespace}):
            pods = self._list(namespace)
            if why := self.denied.get(namespace):
                return RunningImages(unknown=why)
            for pod in pods:
                if any((namespace, kind, name) in owners for kind, name in _owners(pod)):
                    found += _images(pod)
        return RunningImages(found=tuple(dict.fromkeys(found)))

    def _list(self, namespace: str) -> Sequence[Document]:
        if namespace not in self._pods and namespace not in self.denied:
            try:
                self._pods[namespace] = self.ask(f"/api/v1/namespaces/{namespace}/pods").get("items") or ()
            except Denied as error:
                self.denied[namespace] = f"its pods in {namespace} may not be listed ({error.status})"
            except Lost as error:
                self.denied[namespace] = f"its pods in {namespace} are not known ({error})"
        return self._pods.get(namespace, ())


def _owners(pod: Document) -> Iterator[tuple[str, str]]:
    """Yield kind and name of a pod and of the objects that own it, as far as their names say it."""
    metadata = pod.get("metadata") or {}
    labels = metadata.get("labels") or {}
    yield "Pod", str(metadata.get("name") or "")
    for owner in metadata.get("ownerReferences") or ():
        kind, name = str(owner.get("kind") or ""), str(owner.get("name") or "")
        yield kind, name
        for label, above in zip(_HASH_LABELS, ("Deployment", "Rollout"), strict=True):
            if kind == "ReplicaSet" and labels.get(label) and name.endswith(f"-{labels[label]}"):
                yield above, name.removesuffix(f"-{labels[label]}")


def _images(pod: Document) -> Iterator[RunningImage]:
    """Yield what the containers of a pod run now; nothing of a pod that is being taken away."""
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        return
    named = {
        str(item.get("name")): str(item.get("image") or "") for item in (pod.get("spec") or {}).get("containers") or ()
    }
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        digest = str(status.get("imageID") or "").rpartition("@")[2].rpartition("//")[2]
        if digest and (status.get("state") or {}).get("running") is not None:
            yield RunningImage(image=_bare(named.get(str(status.get("name")), "")), digest=digest)


def _bare(image: str) -> str:
    """Return an image's name without tag and digest."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name
