{{/* The name of every object: the release's, so that two releases do not collide. */}}
{{- define "kv-operator.name" -}}
{{- if contains "kv-operator" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-kv-operator" (.Release.Name | trunc 38 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* What selects the operator's pods; never changes in an upgrade. */}}
{{- define "kv-operator.selector" -}}
app.kubernetes.io/name: kv-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kv-operator.labels" -}}
{{ include "kv-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: kvcluster
{{- end -}}

{{- define "kv-operator.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "kv-operator.nodeImage" -}}
{{ .Values.nodeImage.repository }}:{{ .Values.nodeImage.tag | default .Chart.AppVersion }}
{{- end -}}
