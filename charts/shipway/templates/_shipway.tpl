{{- /* What several templates share. */}}

{{- define "shipway.labels" -}}
app.kubernetes.io/name: shipway
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* The account of pods, of a `name`; a container has its token only if it mounts it. */}}
{{- define "shipway.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "shipway.labels" .root | nindent 4 }}
automountServiceAccountToken: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* What the account of a `name` may do with Workflows: the `verbs`. */}}
{{- define "shipway.of-workflows" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "shipway.labels" .root | nindent 4 }}
rules:
  - apiGroups: [argoproj.io]
    resources: [workflows]
    verbs: {{ .verbs | toJson }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "shipway.labels" .root | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ .name }}}
subjects:
  - {kind: ServiceAccount, name: {{ .name }}, namespace: {{ .root.Release.Namespace }}}
{{- end }}

{{- /* The settings as steps get them: those of values.yaml, and what other values imply. */}}
{{- define "shipway.settings" -}}
{{- $settings := deepCopy .Values.settings }}
{{- if not $settings.registry }}
{{- fail "settings.registry is empty: name the registry that images are pushed to, as host or host:port" }}
{{- end }}
{{- $allowed := list }}
{{- range $id, $repositories := .Values.buildSecrets }}
{{- range $repositories }}{{- $allowed = append $allowed (printf "%s=%s" $id .) }}{{- end }}
{{- end }}
{{- $_ := set $settings "build-secrets" (join "," $allowed | default "none") }}
{{- if .Values.buildkit.enabled }}
{{- if ne (default "buildkit" $settings.builder) "buildkit" }}
{{- fail (printf "buildkit.enabled needs settings.builder to be buildkit: it is %s" $settings.builder) }}
{{- end }}
{{- if get $settings "buildkit-host" }}
{{- fail "buildkit.enabled and settings.buildkit-host each name a builder: set one of them" }}
{{- end }}
{{- $_ := set $settings "builder" "buildkit" }}
{{- $_ := set $settings "buildkit-host" "tcp://shipway-buildkit:1234" }}
{{- end }}
{{- with .Values.platforms }}
{{- $_ := set $settings "native-platforms" (keys . | sortAlpha | join ",") }}
{{- $_ := set $settings "platforms" (default (get $settings "native-platforms") (get $settings "platforms")) }}
{{- if $.Values.buildkit.enabled }}
{{- $_ := set $settings "buildkit-host" (include "shipway.builder-of" (keys . | sortAlpha | first)) }}
{{- end }}
{{- end }}
{{- if .Values.authorities }}
{{- if get $settings "ca-file" }}
{{- fail "authorities and settings.ca-file each name certificate authorities: set one of them" }}
{{- end }}
{{- $_ := set $settings "ca-file" "/shipway/authorities/ca.crt" }}
{{- end }}
{{- if .Values.events.enabled }}
{{- if $settings.repositories }}
{{- fail "events.repositories and settings.repositories each name what is watched: set the first" }}
{{- end }}
{{- $watched := list }}
{{- range .Values.events.repositories }}{{- $watched = append $watched .url }}{{- end }}
{{- $_ := set $settings "repositories" (join "," $watched) }}
{{- end }}
{{- toYaml $settings }}
{{- end }}

{{- /* The machine of a platform, as nodes and objects are named by it. */}}
{{- define "shipway.arch" -}}
{{- index (splitList "/" .) 1 }}
{{- end }}

{{- /* The address of the standing builder of a platform. */}}
{{- define "shipway.builder-of" -}}
tcp://shipway-buildkit-{{ include "shipway.arch" . }}:1234
{{- end }}

{{- /* Where the pods of a platform run, as a part of a pod's specification. */}}
{{- define "shipway.nodes-of" -}}
{{- $root := index . 0 }}{{ $platform := index . 1 }}
{{- $own := index $root.Values.platforms $platform }}
{{- $selector := default (dict "kubernetes.io/arch" (include "shipway.arch" $platform)) $own.nodeSelector }}
nodeSelector:
  {{- merge (dict) $selector $root.Values.nodeSelector | toYaml | nindent 2 }}
{{- with concat (default list $own.tolerations) $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The patch of build pods by their platform, given the root and the template: Argo evaluates it. A job of a plan
has its arguments in one. Two braces would end the expression, so there is a space between them. */}}
{{- define "shipway.patch-by-platform" -}}
{{- $root := index . 0 }}{{ $template := index . 1 }}
{{- $of_all := default "{}" $template.podSpecPatch }}
{{- $cases := list }}
{{- range $platform, $own := $root.Values.platforms }}
{{- $patch := merge (include "shipway.nodes-of" (list $root $platform) | fromYaml) ($of_all | fromJson) }}
{{- $host := $own.buildkitHost }}
{{- if $root.Values.buildkit.enabled }}{{ $host = include "shipway.builder-of" $platform }}{{ end }}
{{- if $host }}
{{- $variables := list (dict "name" "SHIPWAY_BUILDKIT_HOST" "value" $host "valueFrom" nil) }}
{{- $_ := set $patch "containers" (list (dict "name" "clone" "env" $variables) (dict "name" "build" "env" $variables)) }}
{{- end }}
{{- $cases = append $cases (printf "%q: %q" $platform (include "shipway.spaced" (toJson $patch))) }}
{{- end }}
{{- $platform := "jsonpath(inputs.parameters.job, '$.platform')" }}
{{- range $template.inputs.parameters }}{{ if eq .name "platform" }}{{ $platform = "inputs.parameters.platform" }}{{ end }}{{ end }}
{{- printf "{{=({%s}[%s] ?? %q)}}" (join ", " $cases) $platform (include "shipway.spaced" $of_all) }}
{{- end }}

{{- define "shipway.spaced" -}}
{{- . | replace "}}" "} }" | replace "}}" "} }" }}
{{- end }}

{{- /* Whether builds go to a builder in another pod, so that no container of a run needs user namespaces. */}}
{{- define "shipway.builds-elsewhere" -}}
{{- $settings := include "shipway.settings" . | fromYaml }}
{{- if and (eq (default "" $settings.builder) "buildkit") (get $settings "buildkit-host") }}yes{{ end }}
{{- end }}

{{- /* Every container but a rootless builder: what the level "restricted" of Pod Security asks for. */}}
{{- define "shipway.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- /* A rootless builder: pipelines/workflows/pod.py says why. */}}
{{- define "shipway.rootless-builder" -}}
allowPrivilegeEscalation: true
readOnlyRootFilesystem: true
capabilities: {drop: [ALL], add: [SETUID, SETGID]}
seccompProfile: {type: Unconfined}
appArmorProfile: {type: Unconfined}
{{- end }}

{{- define "shipway.user" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
{{- end }}

{{- /* Whether a container that does not take all settings reads one, given as its environment variable. */}}
{{- define "shipway.reads" -}}
{{- $variable := index . 1 }}
{{- range (index . 0).env }}{{ if eq .name $variable }}yes{{ end }}{{ end }}
{{- end }}
