# The image that pods run: Shipway's command and the programs that it drives, for a user without privileges.
#
# BASE is any Debian 12; name it by digest, and APT_SOURCES an archive that keeps its past, and every byte is pinned: what
# comes from elsewhere is pinned by requirements/ and setup/. TOOLS is the stage, or the name of an image, that holds
# BuildKit and Helm in /opt/tools/bin.
ARG BASE=debian:bookworm-slim
ARG TOOLS=built-tools

# Modules are compiled once, by the hash of their text: the same bytes in each build, and nothing to compare at each start.
FROM ${BASE} AS python
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
      $([ "$(uname -m)" = x86_64 ] || echo gcc libc6-dev) \
 && rm -rf /var/lib/apt/lists/*
COPY setup/requirements /build/setup/requirements
COPY requirements/run.txt requirements/go.txt /build/requirements/
RUN python3 -m venv /opt/shipway \
 && PIP_NO_CACHE_DIR=1 /build/setup/requirements /opt/shipway /build/requirements/run.txt
COPY LICENSE README.md pyproject.toml /build/
COPY pipelines /build/pipelines
COPY sensors /build/sensors
RUN /opt/shipway/bin/pip install --no-cache-dir --no-deps --no-build-isolation /build \
 && /opt/shipway/bin/pip uninstall --yes setuptools pip \
 && find /opt/shipway -name __pycache__ -prune -exec rm -rf {} + \
 && PYTHONHASHSEED=0 python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash /opt/shipway/lib

FROM ${BASE} AS built-tools
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY requirements/go.txt /build/requirements/go.txt
COPY setup /build/setup
RUN /build/setup/tools /opt/tools

FROM ${TOOLS} AS tools

FROM ${BASE}
# Lines for /etc/apt/sources.list in place of the base's: "deb [check-valid-until=no] ADDRESS bookworm main".
ARG APT_SOURCES=""
# libcap2-bin is needed here alone: newuidmap and newgidmap must carry file capabilities in place of the setuid bit,
# since the setuid bit would ask for more than CAP_SETUID and CAP_SETGID. No other program keeps one, either.
# Pods write nothing but their volumes, /tmp among them; buildah keeps some files in /var/tmp, whatever TMPDIR says.
RUN if [ -n "$APT_SOURCES" ]; then rm -rf /etc/apt/sources.list.d && echo "$APT_SOURCES" > /etc/apt/sources.list; fi \
 && printf 'path-exclude=%s\n' '/usr/share/man/*' '/usr/share/locale/*' '/usr/lib/cni/*' > /etc/dpkg/dpkg.cfg.d/small \
 && apt-get update \
 && apt-get install --yes --no-install-recommends \
      buildah ca-certificates git git-lfs libcap2-bin openssh-client python3 rootlesskit runc uidmap util-linux \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && setcap cap_setuid+ep /usr/bin/newuidmap \
 && setcap cap_setgid+ep /usr/bin/newgidmap \
 && useradd --uid 1000 --create-home --home-dir /home/shipway shipway \
 && echo 'shipway:100000:65536' > /etc/subuid \
 && echo 'shipway:100000:65536' > /etc/subgid \
 && rm -r /var/tmp \
 && ln -s /tmp /var/tmp
COPY --from=tools /opt/tools/bin /usr/local/bin
COPY --from=python /opt/shipway /opt/shipway
ENV PATH=/opt/shipway/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /home/shipway
ENTRYPOINT ["shipway"]
