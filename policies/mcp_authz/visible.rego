package mcp_authz

# What of the catalogue the caller may see: the same question as for a call, asked for each name without arguments and
# with `listing: true`. Listing and calling cannot disagree, arguments aside.
visible := {
	"tools": names("tools", "tool", "tools/call"),
	"prompts": names("prompts", "prompt", "prompts/get"),
	"resources": names("resources", "resource", "resources/read"),
}

names(list, kind, method) := {server: found |
	some server, entry in data.catalog.servers
	wanted(server)
	found := [name |
		some name in entry[list]
		allowed with input.mcp as {
			"method": method,
			"server": server,
			"kind": kind,
			"name": name,
			"arguments": {},
			"version": input.mcp.version,
			"listing": true,
		}
	]
	count(found) > 0
}

# input.mcp.server is null on the merged endpoint: every server counts.
wanted(_) if input.mcp.server == null

wanted(server) if server == input.mcp.server
