{{/* Which files a process finds below /etc/mcp-authz, and whether they are those that the configuration names. */}}

{{/* Paths of the entries of `files` for one process, as a JSON list: (list $ "serve"). */}}
{{- define "mcp-authz.mounted" -}}
{{- $paths := list -}}
{{- range (index . 0).Values.files -}}
{{- if has (index $ 1) (default (list "serve" "broker") .for) -}}
{{- $folder := .folder -}}
{{- range .items -}}
{{- $paths = append $paths (include "mcp-authz.itemPath" (list $folder .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $paths | toJson -}}
{{- end -}}

{{/* Paths that come from ConfigMaps, which whoever may read the namespace can read. */}}
{{- define "mcp-authz.inConfigMaps" -}}
{{- $paths := list -}}
{{- range .Values.files -}}
{{- if hasKey . "configMap" -}}
{{- $folder := .folder -}}
{{- range .items -}}
{{- $paths = append $paths (include "mcp-authz.itemPath" (list $folder .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $paths | toJson -}}
{{- end -}}

{{/* An item is the name of a key, or {key, path}. */}}
{{- define "mcp-authz.itemPath" -}}
{{- $item := index . 1 -}}
{{- printf "%s/%s" (index . 0) (ternary $item (get (ternary dict $item (kindIs "string" $item)) "path") (kindIs "string" $item)) -}}
{{- end -}}

{{/* Refuses a configuration that names a file which nothing brings: (list $ value key). Walks the tree. */}}
{{- define "mcp-authz.checkNamed" -}}
{{- $root := index . 0 -}}
{{- $value := index . 1 -}}
{{- $at := index . 2 -}}
{{- if kindIs "map" $value -}}
{{- range $key, $inner := $value -}}
{{- $path := ternary $key (printf "%s.%s" $at $key) (eq $at "") -}}
{{- include "mcp-authz.checkPlain" (list $key $inner $path) -}}
{{- if and (kindIs "string" $inner) (or (eq $key "file") (hasSuffix "File" $key)) -}}
{{- include "mcp-authz.checkFile" (list $root $inner $path) -}}
{{- else if and (kindIs "string" $inner) (eq $key "env") -}}
{{- include "mcp-authz.checkEnv" (list $root $inner $path) -}}
{{- else -}}
{{- include "mcp-authz.checkNamed" (list $root $inner $path) -}}
{{- end -}}
{{- end -}}
{{- else if kindIs "slice" $value -}}
{{- range $i, $inner := $value -}}
{{- include "mcp-authz.checkPlain" (list "" $inner (printf "%s[%d]" $at $i)) -}}
{{- include "mcp-authz.checkNamed" (list $root $inner (printf "%s[%d]" $at $i)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuses a secret in plain: the configuration is a ConfigMap. (list key value place) */}}
{{- define "mcp-authz.checkPlain" -}}
{{- $value := index . 1 -}}
{{- $at := index . 2 -}}
{{- $isSecret := or (has (index . 0) (list "secret" "secretId" "token" "password" "clientAssertion" "privateKey" "static")) (regexMatch "privateKey\\.key$|^traces\\.headers\\.|(?i)\\.headers\\.(proxy-)?authorization$" $at) -}}
{{- if and $isSecret (or (kindIs "string" $value) (kindIs "float64" $value) (kindIs "bool" $value)) -}}
{{- fail (printf "config.%s would stand in a ConfigMap in plain: put the secret into a Secret, name that in files, and write {file: FOLDER/KEY} here." $at) -}}
{{- end -}}
{{- if kindIs "string" $value -}}
{{- if or (contains "PRIVATE KEY-----" $value) (regexMatch "://[^/?#@\\s]*:[^/?#@\\s]*@" $value) -}}
{{- fail (printf "config.%s has a key or a password in plain, and would stand in a ConfigMap: put it into a Secret, name that in files, and write {file: FOLDER/KEY} here." $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Absolute paths are of extraVolumes. Private keys of wristbands and assertions belong to serve alone, CAs to who connects. */}}
{{- define "mcp-authz.checkFile" -}}
{{- $root := index . 0 -}}
{{- $file := index . 1 -}}
{{- $at := index . 2 -}}
{{- $isServes := or (hasPrefix "wristband.keys" $at) (hasPrefix "assertions.keys" $at) -}}
{{- if not (or (hasPrefix "/" $file) (hasPrefix "tls/" $file) (contains "${" $file)) -}}
{{- $have := dict "serve" (has $file (include "mcp-authz.mounted" (list $root "serve") | fromJsonArray)) "broker" (has $file (include "mcp-authz.mounted" (list $root "broker") | fromJsonArray)) -}}
{{- $ask := printf "config.%s names the file %s, which no entry of files brings" $at $file -}}
{{- $do := printf "add {secret: NAME, folder: %s, items: [%s]}" (dir $file) (base $file) -}}
{{- if hasSuffix "File" $at -}}
{{- if not (or $have.serve $have.broker) -}}{{- fail (printf "%s: %s, or configMap: NAME." $ask $do) -}}{{- end -}}
{{- else if has $file (include "mcp-authz.inConfigMaps" $root | fromJsonArray) -}}
{{- fail (printf "config.%s: %s is a secret, and files brings it from a ConfigMap: put it into a Secret." $at $file) -}}
{{- else if not $have.serve -}}
{{- fail (printf "%s to serve: %s." $ask $do) -}}
{{- else if and $isServes $have.broker -}}
{{- fail (printf "config.%s: %s is a private key of serve, and files gives it to the broker too: add for: [serve] to its entry." $at $file) -}}
{{- else if not (or $isServes $have.broker) -}}
{{- fail (printf "%s to the broker, which reads every secret of the configuration: %s, without for." $ask $do) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "mcp-authz.checkEnv" -}}
{{- $names := list -}}
{{- range (index . 0).Values.env -}}
{{- $names = append $names .name -}}
{{- if and (eq .name (index $ 1)) (hasKey . "value") -}}
{{- fail (printf "config.%s reads the variable %s, whose value stands in env in plain: give it by valueFrom: {secretKeyRef: {name: SECRET, key: KEY}}." (index $ 2) .name) -}}
{{- end -}}
{{- end -}}
{{- if not (has (index . 1) $names) -}}
{{- fail (printf "config.%s reads the variable %s, which env does not set: add {name: %s, valueFrom: {secretKeyRef: {name: SECRET, key: KEY}}}." (index . 2) (index . 1) (index . 1)) -}}
{{- end -}}
{{- end -}}

{{/* The one volume below /etc/mcp-authz: kubelet changes all of it in one step. (list $ "serve") */}}
{{- define "mcp-authz.filesVolume" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
name: files
projected:
  defaultMode: 0440
  sources:
    - configMap:
        name: {{ include "mcp-authz.fullname" $root }}
        items: [{ key: mcp-authz.yaml, path: mcp-authz.yaml }]
    {{- if ne $root.Values.tls.mode "mesh" }}
    {{- range $of := list "serve" "broker" }}
    - secret:
        name: {{ required (printf "tls.%s.secretName: beyond loopback the listeners of %s need TLS. Name a Secret with tls.crt, tls.key and ca.crt for %s, or say tls.mode: mesh where a sidecar encrypts." $of $of (include "mcp-authz.host" (list $root $of))) (index $root.Values.tls $of).secretName }}
        items:
          {{- if eq $of $part }}
          - { key: tls.crt, path: tls/{{ $of }}/tls.crt }
          - { key: tls.key, path: tls/{{ $of }}/tls.key }
          {{- end }}
          - { key: ca.crt, path: tls/{{ $of }}/ca.crt }
    {{- end }}
    {{- end }}
    {{- range $root.Values.files }}
    {{- if has $part (default (list "serve" "broker") .for) }}
    {{- if .token }}
    - serviceAccountToken:
        audience: {{ .token.audience }}
        expirationSeconds: {{ default 3600 .token.expirationSeconds | int64 }}
        path: {{ include "mcp-authz.itemPath" (list .folder (first .items)) }}
    {{- else }}
    - {{ ternary "secret" "configMap" (hasKey . "secret") }}:
        name: {{ default .configMap .secret }}
        items:
          {{- $folder := .folder }}
          {{- range .items }}
          - { key: {{ ternary . (get (ternary dict . (kindIs "string" .)) "key") (kindIs "string" .) }}, path: {{ include "mcp-authz.itemPath" (list $folder .) }} }
          {{- end }}
    {{- end }}
    {{- end }}
    {{- end }}
{{- end -}}
