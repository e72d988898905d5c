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
	is_string(input.request.host)
	is_string(input.request.path)
	is_string(input.request.sourceIp)
	is_number(input.request.time)
	is_object(input.request.headers)
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
