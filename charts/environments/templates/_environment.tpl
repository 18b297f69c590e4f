{{/* An environment with the defaults below what it says itself. Lists and shares are taken whole. */}}
{{- define "environments.whole" -}}
{{- if not .root.Values.repository }}{{ fail "repository is empty: name the environments repository" }}{{ end -}}
{{- $whole := mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy .environment) -}}
{{- if .environment.clusterName }}{{ $_ := set $whole "cluster" "" }}{{ end -}}
{{- if and .environment.cluster (not .environment.clusterName) }}{{ $_ := set $whole "clusterName" "" }}{{ end -}}
{{- $revision := $whole.revision | default .root.Values.revision -}}
{{- $_ := set $whole "revision" $revision -}}
{{- if and $whole.sync.stages $whole.sync.automated $whole.sync.selfHeal -}}
{{- fail (printf "environment %s: sync.stages and sync.selfHeal exclude each other, for in stages Argo CD syncs what a commit changes alone: set one of them to false" $whole.name) -}}
{{- end -}}
{{- if not $whole.namespaces }}{{ fail (printf "environment %s: namespaces is empty: name those that it may use" $whole.name) }}{{ end -}}
{{- if not (or $whole.cluster $whole.clusterName) }}{{ fail (printf "environment %s: name its cluster" $whole.name) }}{{ end -}}
{{- toJson $whole -}}
{{- end }}

{{/* How often each name stands in a list, as JSON. */}}
{{- define "environments.counted" -}}
{{- $counted := dict -}}
{{- range . }}{{ $_ := set $counted .name (add1 (get $counted .name | default 0)) }}{{ end -}}
{{- toJson $counted -}}
{{- end }}

{{- define "environments.labels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: {{ .Release.Name }}
{{- end }}

{{/* The cluster as a destination names it. */}}
{{- define "environments.cluster" -}}
{{- if .clusterName }}name: {{ .clusterName | quote }}{{ else }}server: {{ .cluster | quote }}{{ end }}
{{- end }}

{{/* What is synced by itself, and how often it is tried. */}}
{{- define "environments.policy" -}}
{{- if .automated }}
automated:
  prune: {{ .prune }}
  selfHeal: {{ .selfHeal }}
{{- end }}
retry:
  limit: {{ .retries }}
  # A sync that fails does not hold back the commit that mends it.
  refresh: true
  backoff: {duration: 5s, factor: 2, maxDuration: 3m}
{{- end }}
