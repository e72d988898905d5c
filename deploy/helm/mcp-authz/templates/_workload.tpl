{{/* The Deployment and what goes with it, for serve and the broker alike: (list $ "serve"). */}}
{{- define "mcp-authz.deployment" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $values := index $root.Values $part -}}
{{- include "mcp-authz.checkPart" . -}}
{{- $drainSeconds := include "mcp-authz.drainSeconds" . | int -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "mcp-authz.partName" . }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "mcp-authz.labels" . | nindent 4 }}
spec:
  {{- if not $values.autoscaling.enabled }}
  replicas: {{ $values.replicas | int }}
  {{- end }}
  revisionHistoryLimit: 5
  # A new pod is ready before an old one goes.
  strategy:
    type: RollingUpdate
    rollingUpdate: { maxSurge: 1, maxUnavailable: 0 }
  selector:
    matchLabels: {{- include "mcp-authz.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "mcp-authz.labels" . | nindent 8 }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        # Of the keys that are read at the start only: the rest of the configuration, policy and secrets are followed.
        checksum/config-at-start: {{ include "mcp-authz.startConfig" $root | sha256sum }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "mcp-authz.serviceAccount" $root }}
      automountServiceAccountToken: false
      enableServiceLinks: false # no variables of the cluster for the configuration's own
      # The sleep of preStop, drainDelayMs, the drain, and a few seconds.
      terminationGracePeriodSeconds: {{ add ($values.preStopSeconds | int) $drainSeconds 5 }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile: { type: RuntimeDefault }
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity: {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        {{- if $values.topologySpreadConstraints }}
        {{- toYaml $values.topologySpreadConstraints | nindent 8 }}
        {{- else }}
        {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - maxSkew: 1
          topologyKey: {{ $key }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "mcp-authz.selector" (list $root $part) | nindent 14 }}
        {{- end }}
        {{- end }}
      containers:
        - name: {{ $part }}
          image: {{ include "mcp-authz.image" . }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ $part }}, --log-level, {{ $values.logLevel }}]
          {{- with $root.Values.env }}
          env: {{- toYaml . | nindent 12 }}
          {{- end }}
          ports: {{- include "mcp-authz.ports" (list $root $part "containerPort") | nindent 12 }}
          {{- include "mcp-authz.probes" . | nindent 10 }}
          lifecycle:
            preStop: { sleep: { seconds: {{ $values.preStopSeconds | int }} } }
          resources: {{- toYaml $values.resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            privileged: false
            readOnlyRootFilesystem: true
            capabilities: { drop: [ALL] }
          volumeMounts:
            - { name: files, mountPath: /etc/mcp-authz, readOnly: true }
            {{- if eq $part "serve" }}
            - { name: policy, mountPath: {{ $root.Values.policy.mountPath }}, readOnly: true }
            {{- end }}
            - { name: tmp, mountPath: /tmp }
            {{- with $values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - {{- include "mcp-authz.filesVolume" . | nindent 10 }}
        {{- if eq $part "serve" }}
        - {{- include "mcp-authz.policyVolume" $root | nindent 10 }}
        {{- end }}
        # Edited rules are compiled here.
        - name: tmp
          emptyDir: { sizeLimit: 256Mi }
        {{- with $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}

{{/* After preStopSeconds both serve on for drainDelayMs; then serve waits drainMs for the last Checks, the broker 2 s. */}}
{{- define "mcp-authz.drainSeconds" -}}
{{- $config := (index . 0).Values.config -}}
{{- $delayMs := include "mcp-authz.milliseconds" (list $config "drainDelayMs" 0) | float64 -}}
{{- $drainMs := 2000 | float64 -}}
{{- if eq (index . 1) "serve" -}}
{{- $drainMs = include "mcp-authz.milliseconds" (list $config "drainMs" 10000) | float64 -}}
{{- end -}}
{{- divf (addf $delayMs $drainMs) 1000 | ceil -}}
{{- end -}}

{{- define "mcp-authz.milliseconds" -}}
{{- $ms := dig (index . 1) (index . 2) (index . 0) -}}
{{- if not (or (kindIs "float64" $ms) (kindIs "int64" $ms) (kindIs "int" $ms)) -}}
{{- fail (printf "config.%s: give the number itself; the chart makes terminationGracePeriodSeconds of it." (index . 1)) -}}
{{- end -}}
{{- $ms -}}
{{- end -}}

{{/* Of the container or the Service: (list $ "serve" "containerPort" or "port"). */}}
{{- define "mcp-authz.ports" -}}
{{- $key := index . 2 -}}
{{- $isMesh := eq (index . 0).Values.tls.mode "mesh" -}}
{{- $ports := ternary (dict "authz" 9001 "ops" 9002) (dict "mcp" 9003 "ops" 9004) (eq (index . 1) "serve") -}}
{{- range $name, $port := $ports }}
- name: {{ $name }}
  {{ $key }}: {{ $port }}
  protocol: TCP
  {{- if eq $key "port" }}
  targetPort: {{ $name }}
  appProtocol: {{ if not $isMesh }}{{ ternary "tls" "https" (eq $name "authz") }}{{ else }}{{ ternary "grpc" "http" (eq $name "authz") }}{{ end }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "mcp-authz.probes" -}}
{{- $scheme := ternary "HTTP" "HTTPS" (eq (index . 0).Values.tls.mode "mesh") -}}
startupProbe:
  httpGet: { path: /healthz, port: ops, scheme: {{ $scheme }} }
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /healthz, port: ops, scheme: {{ $scheme }} }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: { path: /readyz, port: ops, scheme: {{ $scheme }} }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 3
{{- end -}}

{{- define "mcp-authz.policyVolume" -}}
{{- $policy := .Values.policy -}}
{{- if and $policy.files $policy.existingConfigMap -}}
{{- fail "policy: give files or existingConfigMap, not both." -}}
{{- end -}}
{{- $paths := dict -}}
{{- range $path, $_ := $policy.files -}}
{{- $key := include "mcp-authz.policyKey" $path -}}
{{- with get $paths $key -}}
{{- fail (printf "policy.files: %s and %s are one key of a ConfigMap, %s: rename one of them." . $path $key) -}}
{{- end -}}
{{- $_ := set $paths $key $path -}}
{{- end -}}
name: policy
configMap:
  defaultMode: 0444
  {{- if $policy.existingConfigMap }}
  name: {{ $policy.existingConfigMap }}
  {{- else }}
  name: {{ include "mcp-authz.fullname" . }}-policy
  items:
    {{- range $path, $_ := $policy.files }}
    - { key: {{ include "mcp-authz.policyKey" $path }}, path: {{ $path }} }
    {{- end }}
  {{- end }}
{{- end -}}

{{/* A key of a ConfigMap has no slash. */}}
{{- define "mcp-authz.policyKey" -}}
{{- replace "/" "__" . -}}
{{- end -}}

{{/* What no schema says: (list $ "serve"). */}}
{{- define "mcp-authz.checkPart" -}}
{{- $part := index . 1 -}}
{{- $values := index (index . 0).Values $part -}}
{{- $name := include "mcp-authz.fullname" (index . 0) -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "the release makes the name %s, and a Service's name begins with a letter and has small letters, digits and - alone: give fullnameOverride." $name) -}}
{{- end -}}
{{- if and $values.autoscaling.enabled (lt ($values.autoscaling.maxReplicas | int) ($values.autoscaling.minReplicas | int)) -}}
{{- fail (printf "%s.autoscaling: maxReplicas is below minReplicas." $part) -}}
{{- end -}}
{{- range $values.extraVolumes -}}
{{- if has .name (list "files" "policy" "tmp") -}}
{{- fail (printf "%s.extraVolumes: the chart has a volume %s of its own: give yours another name." $part .name) -}}
{{- end -}}
{{- end -}}
{{- $paths := include "mcp-authz.mounted" . | fromJsonArray -}}
{{- range $i, $path := $paths -}}
{{- if or (has $path (slice $paths 0 $i)) (hasPrefix "tls/serve/" $path) (hasPrefix "tls/broker/" $path) -}}
{{- fail (printf "files: two would be the file %s of %s: name each once. The folders tls/serve and tls/broker are those of tls.*.secretName." $path $part) -}}
{{- end -}}
{{- end -}}
{{- end -}}
