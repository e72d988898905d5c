package mcp_authz

import rego.v1

# The input in full: what lacks a field is refused, whatever the author's rules say.
known_caller if {
	named(input.identity.issuer)
	named(input.identity.subject)
	type_name(input.identity.username) in {"string", "null"}
	is_array(input.identity.groups)
	is_array(input.identity.scopes)
	is_object(input.identity.claims)
	authentication_holds
	is_string(input.request.host)
	is_string(input.request.path)
	is_string(input.request.sourceIp)
	is_number(input.request.time)
	is_object(input.request.headers)
}

# Policies that were written before these fields test with inputs that lack them; serve always sends them.
authentication_holds if {
	object.get(input.identity, "kind", "user") in {"user", "machine"}
	is_string(object.get(input.identity, "method", "jwt"))
	is_array(object.get(input.identity, "amr", []))
	type_name(object.get(input.identity, "acr", null)) in {"string", "null"}
	type_name(object.get(input.identity, "auth_time", null)) in {"number", "null"}
}

known_operation if {
	named(input.mcp.method)
	named(input.mcp.server)
	input.mcp.kind in {"tool", "prompt", "resource"}
	named(input.mcp.name)
	is_object(input.mcp.arguments)
	is_string(input.mcp.version)
}

# A list is of one server, or of all for null.
known_list if {
	type_name(input.mcp.server) in {"string", "null"}
	is_string(input.mcp.version)
}

named(value) if {
	is_string(value)
	value != ""
}
