# The decision of bench/ours/serve.ts for opa-envoy-plugin: a caller's token, a grant to one of the caller's groups, and what the
# row adds: a wristband for the one call or the list, or a secret that is kept. RS256 by a key in its data, the cheapest it has.
package envoy.authz

import rego.v1

default result := {"allowed": false, "http_status": 403}

default list := {"allowed": false, "http_status": 403}

default relay := {"allowed": false, "http_status": 403}

default secret := {"allowed": false, "http_status": 403}

http_request := input.attributes.request.http

token := substring(http_request.headers.authorization, 7, -1) if startswith(http_request.headers.authorization, "Bearer ")

verified := io.jwt.decode_verify(token, {"cert": data.issuer.key, "iss": data.issuer.name, "aud": "gateway", "alg": "RS256"})

claims := verified[2] if verified[0]

tool := input.parsed_body.params.name if input.parsed_body.method == "tools/call"

server := split(http_request.path, "/")[2]

granted if {
	some group in claims.groups
	data.grants[group][server][tool]
}

headers := {"x-authz-subject": claims.sub, "x-authz-groups": concat(",", claims.groups)}

result := {"allowed": true, "headers": headers} if granted

relay := {"allowed": true, "headers": object.union(headers, {"x-authorized-tools": wristband("call", {server: [tool]})})} if granted

list := {"allowed": true, "headers": object.union(headers, {"x-authorized-tools": wristband("list", visible)})} if {
	input.parsed_body.method == "tools/list"
	claims
}

visible := {name: tools |
	some name in data.servers
	tools := [tool | some group in claims.groups; some tool in data.lists[group][name]]
}

wristband(use, tools) := io.jwt.encode_sign(
	{"alg": "ES256", "typ": "wristband+jwt", "kid": "w"},
	{"iss": "authz", "aud": "mcp", "sub": claims.sub, "use": use, "iat": now, "exp": now + 300, "tools": tools},
	data.wristband,
)

now := floor(time.now_ns() / 1000000000)

secret := {"allowed": true, "headers": object.union(headers, {"authorization": concat(" ", ["Bearer", fetched])})} if granted

fetched := http.send({
	"method": "GET",
	"url": concat("/", [data.vault, claims.sub]),
	"headers": {"x-vault-token": "t"},
	"timeout": "1s",
	"force_cache": true,
	"force_cache_duration_seconds": 600,
}).body.data.data.token
