package mcp_authz

import rego.v1

scopes_suffice if not scopes_asked

# Anything but a set or an array of strings never suffices: read as "no scopes" it would allow too much.
scopes_suffice if {
	type_name(data.mcp.authz.required_scopes) in {"set", "array"}
	every scope in data.mcp.authz.required_scopes {
		is_string(scope)
		scope in held_scopes
	}
}

# Whatever was asked, null and false too.
scopes_asked if {
	asked := data.mcp.authz.required_scopes
	asked == asked
}

required_scopes := {scope | some scope in data.mcp.authz.required_scopes; is_string(scope)}

# The token's scopes and all that they cover, over any number of steps: `scope_covers := {"repo": ["repo:read"]}`.
held_scopes := {scope | some scope in input.identity.scopes} | {scope |
	covers := data.mcp.authz.scope_covers
	some held in graph.reachable(covers, input.identity.scopes)
	type_name(covers[held]) in {"array", "set"}
	some scope in covers[held]
}
