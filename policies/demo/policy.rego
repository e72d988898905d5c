# Who may use what. Edit this file or data.yaml while the demo runs: it counts within two seconds.
package mcp.authz

import data.mcp_authz

# Allowed is what is granted and within its limits. Nothing else is.
allow if {
	granted
	within_limits
}

# One of the caller's groups has a grant (data.yaml) for this name on this server.
granted if {
	some group in input.identity.groups
	patterns := data.grants[group][input.mcp.server][input.mcp.kind]
	mcp_authz.matches(patterns, input.mcp.name)
}

# A transfer moves at most data.limits.transfer. Lists ask without arguments: `listing` says so.
within_limits if input.mcp.name != "transfer"

within_limits if input.mcp.listing

within_limits if {
	is_number(input.mcp.arguments.amount)
	input.mcp.arguments.amount > 0
	input.mcp.arguments.amount <= data.limits.transfer
	is_number(data.limits.transfer)
}

# A transfer also needs this scope in the token; without it the client is told which one to ask for.
required_scopes contains "mcp:write" if input.mcp.name == "transfer"

# For the audit log only; the client never sees it.
reason := "no group of the caller is granted this" if not granted

reason := "above the limit" if {
	granted
	not within_limits
}
