{{- define "funnelcast.name" -}}
{{- printf "%s-%s" .root.Release.Name .part | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "funnelcast.selector" -}}
app.kubernetes.io/name: funnelcast
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "funnelcast.labels" -}}
{{ include "funnelcast.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "funnelcast.metadata" -}}
name: {{ include "funnelcast.name" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "funnelcast.labels" . | nindent 2 }}
{{- end -}}

{{- /* Presets, and every own definition as a file. */ -}}
{{- define "funnelcast.funnels" -}}
{{- $files := list -}}
{{- range $name, $_ := .Values.funnels -}}
{{- $files = append $files (printf "/funnels/%s" $name) -}}
{{- end -}}
{{- join "," (concat .Values.presets $files) -}}
{{- end -}}

{{- /* What every pod has: no root, nothing that can be written but /tmp and /data, the settings, the definitions. */ -}}
{{- define "funnelcast.pod" -}}
{{- $root := .root -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .grace | default 30 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "funnelcast.selector" . | nindent 8 }}
volumes:
  - name: tmp
    emptyDir: {}
  - name: funnels
    configMap: {name: {{ include "funnelcast.name" (dict "root" $root "part" "funnels") }}}
  {{- if not .keepsData }}
  - name: data
    emptyDir: {}
  {{- end }}
  {{- range $part := list "keys" "kafka" "redis" }}
  {{- with index $root.Values.secrets $part }}
  - name: {{ $part }}
    secret: {secretName: {{ . }}, defaultMode: 0440}
  {{- end }}
  {{- end }}
  {{- with .secret }}
  - name: {{ $.part }}
    secret: {secretName: {{ . }}, defaultMode: 0440}
  {{- end }}
containers:
  - name: {{ .part }}
    image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}"
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args: {{ toJson .args }}
    env:
      {{- range $name, $value := $root.Values.settings }}
      - {name: FUNNELCAST_{{ $name }}, value: {{ $value | toString | quote }}}
      {{- end }}
      - {name: FUNNELCAST_FUNNELS, value: {{ include "funnelcast.funnels" $root | quote }}}
      {{- with $root.Values.secrets.contactKey }}
      - name: FUNNELCAST_CONTACT_KEY
        valueFrom: {secretKeyRef: {name: {{ . }}, key: key}}
      {{- end }}
      {{- if $root.Values.webhooks }}
      - {name: FUNNELCAST_WEBHOOKS, value: /funnels/webhooks.yaml}
      {{- end }}
      {{- if $root.Values.targets }}
      - {name: FUNNELCAST_TARGETS, value: /funnels/targets.yaml}
      {{- end }}
    {{- with $root.Values.webhookSecrets }}
    envFrom:
      - secretRef: {name: {{ . }}}
    {{- end }}
    {{- with .ports }}
    ports:
      {{- range $name, $port := . }}
      - {name: {{ $name }}, containerPort: {{ $port }}}
      {{- end }}
    {{- end }}
    {{- with .health }}
    startupProbe: {httpGet: {path: /healthz, port: {{ . }}}, periodSeconds: 2, failureThreshold: 60}
    livenessProbe: {httpGet: {path: /healthz, port: {{ . }}}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6}
    readinessProbe: {httpGet: {path: /readyz, port: {{ . }}}, periodSeconds: 5, timeoutSeconds: 5}
    {{- end }}
    resources:
      {{- toYaml .resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      - {name: data, mountPath: /data}
      - {name: funnels, mountPath: /funnels, readOnly: true}
      {{- range $part := list "keys" "kafka" "redis" }}
      {{- if index $root.Values.secrets $part }}
      - {name: {{ $part }}, mountPath: /secrets/{{ $part }}, readOnly: true}
      {{- end }}
      {{- end }}
      {{- if .secret }}
      - {name: {{ .part }}, mountPath: /secrets/{{ .part }}, readOnly: true}
      {{- end }}
{{- end -}}

{{- /* A Deployment of one process. */ -}}
{{- define "funnelcast.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "funnelcast.metadata" . | nindent 2 }}
spec:
  {{- if ne (toString .replicas) "" }}
  replicas: {{ .replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "funnelcast.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "funnelcast.labels" . | nindent 8 }}
      annotations:
        checksum/funnels: {{ printf "%s%s%s" (toJson .root.Values.funnels) .root.Values.webhooks .root.Values.targets | sha256sum }}
        {{- with .root.Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "funnelcast.pod" . | nindent 6 }}
{{- end -}}

{{- /* Keep one of several running while nodes are drained. */ -}}
{{- define "funnelcast.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "funnelcast.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "funnelcast.selector" . | nindent 6 }}
{{- end -}}

{{- define "funnelcast.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "funnelcast.metadata" . | nindent 2 }}
spec:
  type: {{ .type | default "ClusterIP" }}
  {{- if .headless }}
  clusterIP: None
  publishNotReadyAddresses: true
  {{- end }}
  selector:
    {{- include "funnelcast.selector" . | nindent 4 }}
  ports:
    {{- range $name, $port := .ports }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}}
    {{- end }}
{{- end -}}
