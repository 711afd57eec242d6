{{/*
Names are fixed: a node has room for one onepull, and the programs know each other by these names.
*/}}

{{/* What all objects of a component are labelled with. Argument: [root, component]. */}}
{{- define "onepull.labels" -}}
{{ include "onepull.selector" (index . 1) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
{{- end }}

{{/* What its pods are found by; never changes. Argument: the component. */}}
{{- define "onepull.selector" -}}
app.kubernetes.io/name: onepull
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "onepull.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The environment by which every pod finds the API server, and what it is in. */}}
{{- define "onepull.env" -}}
- name: ONEPULL_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- with .Values.apiServer }}
{{- if .host }}
- name: KUBERNETES_SERVICE_HOST
  value: {{ .host | quote }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ .port | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Authorities of registries. */}}
{{- define "onepull.upstreamVolume" -}}
{{- with .Values.upstream.ca -}}
- name: registry-ca
  configMap:
    name: {{ .configMap }}
    items:
    - {key: {{ .key | quote }}, path: {{ .key | quote }}}
{{- end }}
{{- end }}

{{/* The security contexts of pods that need nothing of their node, and of their containers. */}}
{{- define "onepull.podWithoutRights" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "onepull.containerWithoutRights" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "onepull.clusterKeySecret" -}}
{{ .Values.clusterKey.existingSecret | default "onepull-cluster-key" }}
{{- end }}
