# METADATA
# title: mcp-authz library
# description: |
#   What serve asks. The author's package mcp.authz says `allow`, and if it wants `required_scopes`, `scope_covers` and
#   `reason`; this package turns them into one decision, and asks the same `allow` for lists. There are no deny rules
#   here: in WASM a built-in that fails is undefined, and a deny rule that is undefined does not deny.
package mcp_authz

decision := {
	"allow": allowed,
	"curable": curable,
	"required_scopes": required_scopes,
	"reason": reason,
}

default allowed := false

allowed if {
	data.mcp.authz.allow == true
	scopes_well_formed
	count(missing_scopes) == 0
}

# True when the same request with the required scopes would be allowed: then a wider token helps (403 with a challenge).
default curable := false

curable if {
	scopes_well_formed
	count(missing_scopes) > 0
	data.mcp.authz.allow == true with input.identity.scopes as array.concat(input.identity.scopes, sort(required_scopes))
}

default reason := null

reason := data.mcp.authz.reason if is_string(data.mcp.authz.reason)

# The author's required_scopes as a set; empty when there are none.
required_scopes := {scope | some scope in data.mcp.authz.required_scopes}

# Anything but a set or an array of strings refuses: read as "no scopes needed" it would allow too much.
default scopes_well_formed := false

scopes_well_formed if not has_required_scopes

scopes_well_formed if {
	is_set(data.mcp.authz.required_scopes)
	every scope in data.mcp.authz.required_scopes { is_string(scope) }
}

scopes_well_formed if {
	is_array(data.mcp.authz.required_scopes)
	every scope in data.mcp.authz.required_scopes { is_string(scope) }
}

# Whatever it is, null and false too; `not is_null(…)` would also hold for an undefined one.
has_required_scopes if {
	value := data.mcp.authz.required_scopes
	value == value
}

missing_scopes := required_scopes - held_scopes

# What the caller holds, with what the author says that those scopes cover: scope_covers := {"repo": ["repo:read"]}.
held_scopes := {scope | some scope in input.identity.scopes} | {scope |
	some held in input.identity.scopes
	some scope in data.mcp.authz.scope_covers[held]
}
