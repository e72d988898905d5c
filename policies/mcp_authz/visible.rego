package mcp_authz

import rego.v1

# The names of data.catalog that the caller may see, per server: the rule behind a call, asked for each name without
# arguments and with `listing: true`. Listing and calling cannot disagree, arguments aside. A list is of one kind, and
# only names of that kind are asked for; without a kind, of all.
visible := {
	"tools": names("tools", "tool", "tools/call"),
	"prompts": names("prompts", "prompt", "prompts/get"),
	"resources": names("resources", "resource", "resources/read"),
} if {
	known_caller
	known_list
}

names(list, kind, method) := {server: permitted_names |
	object.get(input.mcp, "kind", null) in {kind, null}
	some server in listed_servers
	permitted_names := [name |
		some name in data.catalog.servers[server][list]
		permitted with input.mcp as {
			"method": method,
			"server": server,
			"kind": kind,
			"name": name,
			"arguments": {},
			"version": input.mcp.version,
			"listing": true,
		}
	]
	count(permitted_names) > 0
}

listed_servers contains input.mcp.server if is_string(input.mcp.server)

listed_servers contains server if {
	input.mcp.server == null
	some server, _ in data.catalog.servers
}
