{{- define "hostler.labels" -}}
app.kubernetes.io/name: hostler
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
app.kubernetes.io/part-of: hostler
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end }}

{{- define "hostler.selector" -}}
app.kubernetes.io/name: hostler
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "hostler.metadata" -}}
name: {{ .root.Release.Name }}-{{ .part }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "hostler.labels" . | nindent 2 }}
{{- end }}

{{- define "hostler.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "hostler.natsUrl" -}}
{{- if .Values.nats.enabled -}}
nats://{{ .Release.Name }}-nats:4222
{{- else -}}
{{ required "nats.url is needed where nats.enabled is false" .Values.nats.url }}
{{- end }}
{{- end }}

{{- /* Volumes get the group of the pod when they are new and are left alone then, so that files stay closed to the group. */}}
{{- define "hostler.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "hostler.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "hostler.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: {{ .root.Values.spread.nodes }}
    labelSelector:
      matchLabels:
        {{- include "hostler.selector" . | nindent 8 }}
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: {{ .zones | default .root.Values.spread.zones }}
    labelSelector:
      matchLabels:
        {{- include "hostler.selector" . | nindent 8 }}
{{- end }}

{{- define "hostler.disruptions" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "hostler.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  # A pod that is not ready serves nobody, so draining its node does no harm.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "hostler.selector" . | nindent 6 }}
{{- end }}

{{- /* The pod of a service: .part names it, .env, .mounts, .volumes and .ports are what it has beside the others. */}}
{{- define "hostler.pod" -}}
{{- $own := index .root.Values .part -}}
metadata:
  labels:
    {{- include "hostler.labels" . | nindent 4 }}
  annotations:
    checksum/settings: {{ include "hostler.settings" .root | sha256sum }}
spec:
  serviceAccountName: {{ .root.Release.Name }}-{{ .part }}
  automountServiceAccountToken: {{ eq .part "provisioner" }}
  enableServiceLinks: false
  {{- include "hostler.podSecurity" .root | nindent 2 }}
  {{- include "hostler.spread" . | nindent 2 }}
  # The pause below, the requests under way, and what is to be stored after them.
  terminationGracePeriodSeconds: {{ add 10 $own.drainTimeoutSeconds 20 }}
  containers:
    - name: {{ .part }}
      image: {{ include "hostler.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [python, -m, hostler_{{ .part }}]
      {{- include "hostler.containerSecurity" . | nindent 6 }}
      envFrom:
        - configMapRef: {name: {{ .root.Release.Name }}-settings}
      env:
        - name: HOSTLER_{{ upper .part }}_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - {name: HOSTLER_{{ upper .part }}_OPS_HOST, value: 0.0.0.0}
        - {name: HOSTLER_{{ upper .part }}_OPS_PORT, value: "9090"}
        - {name: HOSTLER_NATS_USER, value: {{ .part }}}
        - {name: HOSTLER_DRAIN_TIMEOUT_SECONDS, value: {{ $own.drainTimeoutSeconds | quote }}}
        {{- range $name, $value := .env }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
        {{- range $name, $value := $own.env }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
      ports:
        - {name: ops, containerPort: 9090}
        {{- range $name, $port := .ports }}
        - {name: {{ $name }}, containerPort: {{ $port }}}
        {{- end }}
      startupProbe:
        httpGet: {path: /healthz, port: ops}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: ops}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: ops}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      # So long it still answers while the cluster stops sending it requests.
      lifecycle:
        preStop: {sleep: {seconds: 10}}
      resources:
        {{- toYaml $own.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /var/lib/hostler}
        - {name: secrets, mountPath: /etc/hostler/secrets, readOnly: true}
        - {name: tmp, mountPath: /tmp}
  volumes:
    {{- if ne .part "router" }}
    - {name: data, emptyDir: {sizeLimit: 64Mi}}
    {{- end }}
    # Root's, and read by the pod's group alone.
    - {name: secrets, secret: {secretName: {{ .root.Release.Name }}-{{ .part }}, defaultMode: 0440}}
    - {name: tmp, emptyDir: {sizeLimit: 1Gi}}
{{- end }}

{{- define "hostler.settings" -}}
HOSTLER_NATS_URL: {{ include "hostler.natsUrl" . | quote }}
HOSTLER_NATS_PASSWORD_FILE: /etc/hostler/secrets/nats.password
HOSTLER_NATS_REPLICAS: {{ .Values.nats.replicas | quote }}
# Longer than NATS takes to come up for the first time.
HOSTLER_NATS_CONNECT_TIMEOUT_SECONDS: "300"
HOSTLER_DATA_DIR: /var/lib/hostler
HOSTLER_LOG_FORMAT: json
HOSTLER_LOG_LEVEL: {{ .Values.logLevel }}
{{- end }}
