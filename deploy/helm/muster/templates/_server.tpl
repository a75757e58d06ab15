{{- /* dict context part port metrics health args env: all objects of a server, coordinator or data */ -}}
{{- define "muster.server" -}}
{{- $ := .context }}{{ $part := .part }}{{ $values := index $.Values $part }}
{{- $name := printf "%s-%s" (include "muster.name" $) $part -}}
{{ include "muster.account" (list $ $part) }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  namespace: {{ $.Release.Namespace }}
  labels:
    {{- include "muster.labels" $ | nindent 4 }}
    {{- include "muster.ownLabels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ $part }}
spec:
  type: ClusterIP
  selector:
    {{- include "muster.selector" $ | nindent 4 }}
    app.kubernetes.io/component: {{ $part }}
  ports:
    - name: grpc
      port: {{ .port }}
      targetPort: grpc
      appProtocol: tls
      protocol: TCP
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}-headless
  namespace: {{ $.Release.Namespace }}
  labels:
    {{- include "muster.labels" $ | nindent 4 }}
    {{- include "muster.ownLabels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ $part }}
spec:
  clusterIP: None
  selector:
    {{- include "muster.selector" $ | nindent 4 }}
    app.kubernetes.io/component: {{ $part }}
  ports:
    - name: grpc
      port: {{ .port }}
      targetPort: grpc
      appProtocol: tls
      protocol: TCP
    - name: metrics
      port: {{ .metrics }}
      targetPort: metrics
      appProtocol: http
      protocol: TCP
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name }}
  namespace: {{ $.Release.Namespace }}
  labels:
    {{- include "muster.labels" $ | nindent 4 }}
    {{- include "muster.ownLabels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ $part }}
spec:
  serviceName: {{ $name }}-headless
  replicas: 1
  selector:
    matchLabels:
      {{- include "muster.selector" $ | nindent 6 }}
      app.kubernetes.io/component: {{ $part }}
  updateStrategy:
    type: RollingUpdate
  persistentVolumeClaimRetentionPolicy:
    whenDeleted: Retain
    whenScaled: Retain
  template:
    metadata:
      {{- include "muster.podMetadata" (list $ $values $part) | nindent 6 }}
    spec:
      serviceAccountName: {{ $name }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
      {{- with include "muster.placement" (list $ $values) }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with include "muster.spread" (list $ $values $part) }}
      {{- . | nindent 6 }}
      {{- end }}
      securityContext:
        {{- include "muster.podSecurity" $ | nindent 8 }}
      containers:
        - name: {{ $part }}
          image: {{ include "muster.image" (list $ "coordinator") }}
          imagePullPolicy: {{ $.Values.images.pullPolicy }}
          command:
            - /usr/local/bin/muster-{{ $part }}
          args:
            - --listen=0.0.0.0:{{ .port }}
            - --metrics=0.0.0.0:{{ .metrics }}
            - --health=0.0.0.0:{{ .health }}
            - --state=/var/lib/muster/state
            - --certs=/etc/muster/certs
            - --tokens=/etc/muster/tokens/tokens.yaml
            {{- range concat .args (list "--log-format=json") $values.extraArgs }}
            - {{ . | quote }}
            {{- end }}
          {{- with concat .env $values.extraEnv }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            - name: grpc
              containerPort: {{ .port }}
              protocol: TCP
            - name: metrics
              containerPort: {{ .metrics }}
              protocol: TCP
            - name: health
              containerPort: {{ .health }}
              protocol: TCP
          startupProbe:
            grpc:
              port: {{ .health }}
              service: live
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 150
          readinessProbe:
            grpc:
              port: {{ .health }}
            periodSeconds: 5
            timeoutSeconds: 2
            failureThreshold: 2
          livenessProbe:
            grpc:
              port: {{ .health }}
              service: live
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          securityContext:
            {{- include "muster.containerSecurity" $ | nindent 12 }}
          volumeMounts:
            - name: state
              mountPath: /var/lib/muster
            - name: certs
              mountPath: /etc/muster/certs
              readOnly: true
            - name: tokens
              mountPath: /etc/muster/tokens
              readOnly: true
            - name: tmp
              mountPath: /tmp
            {{- with $values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: certs
          secret:
            secretName: {{ $name }}-tls
            defaultMode: 0440
        - name: tokens
          secret:
            secretName: {{ $.Values.tokens.secret }}
            defaultMode: 0440
        - name: tmp
          emptyDir:
            sizeLimit: 1Gi
        {{- with $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumeClaimTemplates:
    - metadata:
        name: state
      spec:
        accessModes:
          - {{ $values.storage.accessMode }}
        {{- with $values.storage.className }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ $values.storage.size }}
{{- end }}
