"""What a container of ours may do on its node."""

from __future__ import annotations

from hera.workflows import models as m


def security(*, user_namespaces: bool) -> m.SecurityContext:
    """Return the rights of a container: none, except for a rootless builder, which maps user ids.

    newuidmap and newgidmap have one file capability each; to use it they need `allowPrivilegeEscalation` and the two
    capabilities in the bounding set. The runtime's default seccomp and AppArmor profiles forbid the builder's mounts
    and namespaces (BuildKit: docs/rootless.md); a node without AppArmor accepts Unconfined, too.
    """
    if user_namespaces:
        return m.SecurityContext(
            allow_privilege_escalation=True,
            read_only_root_filesystem=True,
            capabilities=m.Capabilities(drop=["ALL"], add=["SETUID", "SETGID"]),
            seccomp_profile=m.SeccompProfile(type="Unconfined"),
            app_armor_profile=m.AppArmorProfile(type="Unconfined"),
        )
    return m.SecurityContext(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=m.Capabilities(drop=["ALL"]),
        seccomp_profile=m.SeccompProfile(type="RuntimeDefault"),
    )
