{{/* mcp-authz.yaml: what the values say, and what the chart alone knows. */}}

{{/* Keys that the chart sets. A value for one of them would be lost, or break probes and Services. */}}
{{- define "mcp-authz.ownKeys" -}}
{{- $config := .Values.config -}}
{{- if hasKey $config "tls" -}}
{{- fail "config.tls is set by the chart: name the certificates' Secrets in tls.serve.secretName and tls.broker.secretName." -}}
{{- end -}}
{{- range $key := list "authz" "ops" "broker" "brokerOps" "plaintext" "workerPorts" -}}
{{- if hasKey (default dict $config.listen) $key -}}
{{- fail (printf "config.listen.%s is set by the chart: leave it out (tls.mode: mesh is what makes listeners plain)." $key) -}}
{{- end -}}
{{- end -}}
{{- if hasKey (default dict $config.policy) "path" -}}
{{- fail "config.policy.path is set by the chart: give policy.files or policy.existingConfigMap." -}}
{{- end -}}
{{- if not $config.publicOrigin -}}
{{- fail "config.publicOrigin: say under which origin clients reach the gateway, as https://gw.example.com." -}}
{{- end -}}
{{- if not (dig "issuers" list (default dict $config.identity)) -}}
{{- if not (or (dig "apiKeys" nil (default dict $config.identity)) (dig "proxies" nil (default dict $config.identity))) -}}
{{- fail "config.identity.issuers: name the issuer whose tokens are taken (docs/configuration.md)." -}}
{{- end -}}
{{- end -}}
{{- if hasKey (default dict $config.identity) "development" -}}
{{- fail "config.identity.development is for one machine: in a cluster callers need a credential." -}}
{{- end -}}
{{- if not (dig "keys" list (default dict $config.wristband)) -}}
{{- fail "config.wristband.keys: name the key that signs for the broker, as [{kid: \"2026-11\", file: keys/wristband.pem}], and its Secret in files (openssl ecparam -name prime256v1 -genkey -noout -out wristband.pem; kubectl create secret generic mcp-authz-wristband --from-file=wristband.pem)." -}}
{{- end -}}
{{- if not (without (values (default dict $config.servers)) nil) -}}
{{- fail "config.servers: name at least one MCP server, with its url and credential (docs/configuration.md)." -}}
{{- end -}}
{{- end -}}

{{/* The whole configuration, as JSON: it is YAML, and no text of it can be read as a number or a date. */}}
{{- define "mcp-authz.config" -}}
{{- include "mcp-authz.ownKeys" . -}}
{{- $isMesh := eq .Values.tls.mode "mesh" -}}
{{- $scheme := ternary "http" "https" $isMesh -}}
{{- $serve := include "mcp-authz.host" (list . "serve") -}}
{{- $broker := include "mcp-authz.host" (list . "broker") -}}
{{- $own := dict
      "listen" (dict "authz" "0.0.0.0:9001" "ops" "0.0.0.0:9002" "broker" "0.0.0.0:9003" "brokerOps" "0.0.0.0:9004" "plaintext" $isMesh)
      "policy" (dict "path" .Values.policy.mountPath) -}}
{{- $defaults := dict
      "wristband" (dict "issuer" .Values.config.publicOrigin "jwksUrl" (printf "%s://%s:9002/.well-known/jwks.json" $scheme $serve))
      "catalog" (dict "url" (printf "%s://%s:9004/catalog" $scheme $broker))
      "envoy" (dict "authzAddress" (printf "%s:9001" $serve) "brokerAddress" (printf "%s:9003" $broker)) -}}
{{- if $isMesh -}}
{{- $_ := set $own "allowHttp" (concat (default list .Values.config.allowHttp) (list $serve $broker) | uniq) -}}
{{- else -}}
{{- $_ := set $own "tls" (include "mcp-authz.tls" . | fromYaml) -}}
{{- $_ := set $defaults "wristband" (merge $defaults.wristband (dict "caFile" "tls/serve/ca.crt")) -}}
{{- $_ := set $defaults "catalog" (merge $defaults.catalog (dict "caFile" "tls/broker/ca.crt")) -}}
{{- $_ := set $defaults "envoy" (merge $defaults.envoy (dict "tls" (dict
      "authz" (include "mcp-authz.envoyTls" (list "serve" $serve) | fromYaml)
      "broker" (include "mcp-authz.envoyTls" (list "broker" $broker) | fromYaml)))) -}}
{{- if .Values.config.sessions -}}
{{- $_ := set $defaults "sessions" (dict "caFile" "tls/broker/ca.crt" "serverName" $broker) -}}
{{- end -}}
{{- end -}}
{{- mustMergeOverwrite $defaults (deepCopy .Values.config) $own | mustToPrettyJson -}}
{{- end -}}

{{/* The listeners' certificates. Those of operators ask for no client certificate: kubelet has none. */}}
{{- define "mcp-authz.tls" -}}
{{- $tls := .Values.tls -}}
authz: {{ include "mcp-authz.listenerTls" (list "serve" $tls.clientCa $tls.serve.clientSans) }}
ops: {{ include "mcp-authz.listenerTls" (list "serve" false list) }}
broker: {{ include "mcp-authz.listenerTls" (list "broker" $tls.clientCa (include "mcp-authz.brokerSans" . | fromJsonArray)) }}
brokerOps: {{ include "mcp-authz.listenerTls" (list "broker" false list) }}
{{- end -}}

{{/* Replicas of the broker show each other their own certificate, which bears the Service's name. */}}
{{- define "mcp-authz.brokerSans" -}}
{{- $sans := .Values.tls.broker.clientSans -}}
{{- if $sans -}}
{{- append $sans (include "mcp-authz.host" (list . "broker")) | uniq | toJson -}}
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{- define "mcp-authz.listenerTls" -}}
{{- $folder := printf "tls/%s" (index . 0) -}}
{{- $listener := dict "certFile" (printf "%s/tls.crt" $folder) "keyFile" (printf "%s/tls.key" $folder) -}}
{{- if index . 1 -}}
{{- $_ := set $listener "clientCaFile" (printf "%s/ca.crt" $folder) -}}
{{- with index . 2 -}}
{{- $_ := set $listener "clientSans" . -}}
{{- end -}}
{{- end -}}
{{- $listener | toJson -}}
{{- end -}}

{{/* For `envoy-config` alone: where the printed Envoy has its files. */}}
{{- define "mcp-authz.envoyTls" -}}
{{- dict "caFile" "/etc/envoy/tls/ca.crt" "certFile" "/etc/envoy/tls/tls.crt" "keyFile" "/etc/envoy/tls/tls.key" "serverName" (index . 1) | toJson -}}
{{- end -}}

{{/*
What both processes read at their start only: a change of it begins new pods. Everything else of the file they follow while they run
(docs/operations.md, changes of the configuration), and `envoy` they do not read. With watchFiles: false all of it counts.
*/}}
{{- define "mcp-authz.startConfig" -}}
{{- $config := include "mcp-authz.config" . | fromYaml -}}
{{- if eq (toString $config.watchFiles) "false" -}}
{{- $config | toJson -}}
{{- else -}}
{{- $start := omit $config "servers" "legacySse" "virtualServers" "callRouting" "hosts" "cors" "challenge" "denial" "outgoing" "allowHttp" "negativeTtlMs" "envoy" -}}
{{- $_ := set $start "identity" (pick (default dict $config.identity) "revocationFile") -}}
{{- range $key := list "wristband" "assertions" "sessions" -}}
{{- with index $config $key -}}
{{- $_ := set $start $key (omit . "keys") -}}
{{- end -}}
{{- end -}}
{{- $start | toJson -}}
{{- end -}}
{{- end -}}
