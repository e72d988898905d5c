# The decision of bench/decision.ts for opa-envoy-plugin: a caller's token, and a grant to one of her groups.
package envoy.authz

import rego.v1

default result := {"allowed": false, "http_status": 403}

result := {"allowed": true, "headers": {"x-subject": claims.sub}} if {
	input.parsed_body.method == "tools/call"
	some group in claims.groups
	input.parsed_body.params.name in data.grants[group]
}

claims := payload if {
	[scheme, token] := split(input.attributes.request.http.headers.authorization, " ")
	scheme == "Bearer"
	[valid, _, payload] := io.jwt.decode_verify(token, {
		"cert": data.issuer.key,
		"alg": "RS256",
		"iss": data.issuer.name,
		"aud": "gateway",
	})
	valid
}
