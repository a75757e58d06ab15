{{- define "muster.name" -}}
{{- if contains "muster" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-muster{{ end }}
{{- end }}

{{- define "muster.selector" -}}
app.kubernetes.io/name: muster
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "muster.labels" -}}
{{ include "muster.selector" . }}
app.kubernetes.io/part-of: muster
app.kubernetes.io/version: {{ .Chart.AppVersion }}
{{- end }}

{{- define "muster.ownLabels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* (list context part): of objects whose labels may not change with the version */ -}}
{{- define "muster.partLabels" -}}
{{- $ := index . 0 -}}
{{ include "muster.selector" $ }}
app.kubernetes.io/part-of: muster
{{ include "muster.ownLabels" $ }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /* (list context "coordinator"): the image's full name */ -}}
{{- define "muster.image" -}}
{{- $image := (index . 0).Values.image }}
{{- with $image.registry }}{{ . }}/{{ end }}{{ index $image (index . 1) }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}
{{- end }}

{{- define "muster.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "muster.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end }}

{{- /* where a pod goes: (values of the part) */ -}}
{{- define "muster.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* (list context part): ServiceAccount and PodDisruptionBudget */ -}}
{{- define "muster.account" -}}
{{- $ := index . 0 }}{{ $part := index . 1 -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "muster.name" $ }}-{{ $part }}
  namespace: {{ $.Release.Namespace }}
  labels:
    {{- include "muster.labels" $ | nindent 4 }}
    {{- include "muster.ownLabels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ $part }}
automountServiceAccountToken: false
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "muster.name" $ }}-{{ $part }}
  namespace: {{ $.Release.Namespace }}
  labels:
    {{- include "muster.labels" $ | nindent 4 }}
    {{- include "muster.ownLabels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ $part }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "muster.selector" $ | nindent 6 }}
      app.kubernetes.io/component: {{ $part }}
{{- end }}
