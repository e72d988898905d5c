{{/* Names, labels, addresses. */}}
{{- define "mcp-authz.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Of a name that is cut, two releases could be one: whoever gives a name gives a whole one. */}}
{{- define "mcp-authz.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains (include "mcp-authz.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "mcp-authz.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of one part: (list $ "serve"). */}}
{{- define "mcp-authz.partName" -}}
{{- printf "%s-%s" (include "mcp-authz.fullname" (index . 0)) (index . 1) -}}
{{- end -}}

{{- define "mcp-authz.selector" -}}
app.kubernetes.io/name: {{ include "mcp-authz.name" (index . 0) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Of one part, or of what belongs to both: (list $ "serve"), (list $ ""). */}}
{{- define "mcp-authz.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
app.kubernetes.io/name: {{ include "mcp-authz.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with index . 1 }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "mcp-authz.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mcp-authz.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the ServiceAccount of the pods, or let the chart make one with serviceAccount.create: true." .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The name under which a part is reached in the cluster: (list $ "serve"). */}}
{{- define "mcp-authz.host" -}}
{{- $root := index . 0 -}}
{{- printf "%s.%s.svc.%s" (include "mcp-authz.partName" .) $root.Release.Namespace $root.Values.clusterDomain -}}
{{- end -}}

{{/* Of one part: (list $ "serve"). In an upgrade of one part after the other, each may have its own. */}}
{{- define "mcp-authz.image" -}}
{{- $root := index . 0 -}}
{{- $image := $root.Values.image -}}
{{- $own := default dict (index $root.Values (index . 1)).image -}}
{{- $name := required "image.repository: name the image that you built and pushed (docs/containers.md): no registry has one of this project." $image.repository -}}
{{- $digest := ternary $own.digest $image.digest (or $own.tag $own.digest | empty | not) -}}
{{- if $digest -}}
{{- printf "%s@%s" $name $digest -}}
{{- else -}}
{{- printf "%s:%s" $name (coalesce $own.tag $image.tag $root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
