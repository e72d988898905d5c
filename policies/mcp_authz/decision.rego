# METADATA
# title: mcp-authz library
# description: |
#   What serve asks. The author's package mcp.authz says `allow` and, where it wants to, `required_scopes`,
#   `scope_covers`, `step_up`, `reason` and `labels`; this package makes one decision of them, and asks the same for lists.
#   Nothing here denies: in WASM a built-in that fails is undefined, and an undefined deny rule does not deny.
package mcp_authz

import rego.v1 # the library is also compiled beside policies in Rego v0

decision := {
	"allow": allowed,
	"scope_insufficient": scope_insufficient,
	"required_scopes": required_scopes,
	"step_up": step_up,
	"reason": reason,
	"labels": labels,
}

default allowed := false

allowed if {
	known_caller
	known_operation
	permitted
}

# The one rule behind calling and listing.
permitted if {
	data.mcp.authz.allow == true
	scopes_suffice
	step_up_suffices
}

# True if the same request, with the required scopes added to the token, would be allowed.
default scope_insufficient := false

scope_insufficient if {
	known_caller
	known_operation
	count(required_scopes) > 0
	not permitted
	permitted with input.identity.scopes as array.concat(input.identity.scopes, [scope | some scope in required_scopes])
}

# Names that the author gives to what decided; they change nothing.
default labels := []

labels := [label | some label in data.mcp.authz.labels; is_string(label)] if {
	type_name(data.mcp.authz.labels) in {"set", "array"}
}

default reason := null

reason := data.mcp.authz.reason if is_string(data.mcp.authz.reason)
