{{/* What stands around a Deployment: (list $ "serve"). */}}
{{- define "mcp-authz.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "mcp-authz.partName" . }}
  namespace: {{ (index . 0).Release.Namespace }}
  labels: {{- include "mcp-authz.labels" . | nindent 4 }}
  {{- with (index . 0).Values.service.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: ClusterIP
  selector: {{- include "mcp-authz.selector" . | nindent 4 }}
  ports: {{- include "mcp-authz.ports" (list (index . 0) (index . 1) "port") | nindent 4 }}
---
# The pods one by one: for an Envoy that balances by DNS. Data planes that read endpoints need it not.
apiVersion: v1
kind: Service
metadata:
  name: {{ include "mcp-authz.partName" . }}-pods
  namespace: {{ (index . 0).Release.Namespace }}
  labels: {{- include "mcp-authz.labels" (list (index . 0) "") | nindent 4 }}
spec:
  type: ClusterIP
  clusterIP: None
  selector: {{- include "mcp-authz.selector" . | nindent 4 }}
  ports: {{- include "mcp-authz.ports" (list (index . 0) (index . 1) "port") | nindent 4 }}
{{- end -}}

{{- define "mcp-authz.disruption" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- if $values.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "mcp-authz.partName" . }}
  namespace: {{ (index . 0).Release.Namespace }}
  labels: {{- include "mcp-authz.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $values.podDisruptionBudget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "mcp-authz.selector" . | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "mcp-authz.autoscaler" -}}
{{- $auto := (index (index . 0).Values (index . 1)).autoscaling -}}
{{- if $auto.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "mcp-authz.partName" . }}
  namespace: {{ (index . 0).Release.Namespace }}
  labels: {{- include "mcp-authz.labels" . | nindent 4 }}
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: {{ include "mcp-authz.partName" . }} }
  minReplicas: {{ $auto.minReplicas | int }}
  maxReplicas: {{ $auto.maxReplicas | int }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: { type: Utilization, averageUtilization: {{ $auto.targetCPUUtilizationPercentage | int }} }
  # Sessions of a broker end with its pod: none goes for a short lull.
  behavior:
    scaleDown:
      stabilizationWindowSeconds: 600
      policies: [{ type: Pods, value: 1, periodSeconds: 300 }]
{{- end }}
{{- end -}}
