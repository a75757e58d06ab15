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

{{- /* (list context "coordinator"): the image's full name. A digest wins over the tag. */ -}}
{{- define "muster.image" -}}
{{- $images := (index . 0).Values.images }}{{ $image := index $images (index . 1) }}
{{- with $images.registry }}{{ . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* Fails where device, GPUs and slots of the workers contradict each other. */ -}}
{{- define "muster.checkDevice" -}}
{{- $worker := .Values.worker }}{{ $gpus := int (index $worker.resources.limits "nvidia.com/gpu" | default 0) }}
{{- if and (eq $worker.device "gpu") (eq $gpus 0) }}
{{- fail "worker.device is gpu, but worker.resources.limits has no nvidia.com/gpu: give the workers GPUs (deploy/helm/values/gpu-pool.yaml), or set worker.device to cpu" }}
{{- else if and (eq $worker.device "cpu") (gt $gpus 0) }}
{{- fail (printf "worker.device is cpu, but worker.resources.limits holds %d GPUs that nothing would use: set worker.device to gpu" $gpus) }}
{{- else if and (eq $worker.device "gpu") $worker.slots (ne (int $worker.slots) $gpus) }}
{{- fail (printf "worker.slots is %d, but a worker's pod has %d GPUs, and a slot is one of them: set worker.slots to null" (int $worker.slots) $gpus) }}
{{- else if and (eq $worker.device "cpu") (not $worker.slots) }}
{{- fail "worker.slots is needed with worker.device cpu: how many ranks run in a pod at once" }}
{{- end }}
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

{{- /* (list context values): where a pod goes and how it is run. `spread`: the values' constraints, or those of the part. */ -}}
{{- define "muster.placement" -}}
{{- $ := index . 0 }}{{ $values := index . 1 }}
{{- with $.Values.images.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* (list context values part): topologySpreadConstraints. One without a labelSelector is about the pods of the part. */ -}}
{{- define "muster.spread" -}}
{{- $selector := dict "matchLabels" (merge (dict "app.kubernetes.io/component" (index . 2)) (include "muster.selector" (index . 0) | fromYaml)) }}
{{- with (index . 1).topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{- toYaml (merge (dict) . (dict "labelSelector" $selector)) | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* (list context values part): a pod's labels and annotations */ -}}
{{- define "muster.podMetadata" -}}
{{- $values := index . 1 -}}
labels:
  {{- include "muster.selector" (index . 0) | nindent 2 }}
  app.kubernetes.io/component: {{ index . 2 }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* (values of the part): for cloud identities */ -}}
{{- define "muster.accountAnnotations" -}}
{{- with .serviceAccount.annotations }}
annotations:
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
  {{- with include "muster.accountAnnotations" (index $.Values $part) }}
  {{- . | nindent 2 }}
  {{- end }}
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
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "muster.selector" $ | nindent 6 }}
      app.kubernetes.io/component: {{ $part }}
{{- end }}

{{- /* The rule of a NetworkPolicy that opens the way to the cluster's DNS. */ -}}
{{- define "muster.dns" -}}
{{- $dns := .Values.networkPolicy.dns -}}
- to:
    - namespaceSelector:
        matchLabels:
          {{- toYaml $dns.namespaceLabels | nindent 10 }}
      podSelector:
        matchLabels:
          {{- toYaml $dns.podLabels | nindent 10 }}
    {{- with $dns.nodeLocalAddress }}
    - ipBlock:
        cidr: {{ . }}/{{ contains ":" . | ternary 128 32 }}
    {{- end }}
  ports:
    {{- range $dns.ports }}
    - port: {{ . }}
      protocol: UDP
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end }}
