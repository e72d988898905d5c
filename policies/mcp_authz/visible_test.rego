package mcp_authz_test

import data.mcp_authz

servers := {
	"a": {"tools": ["x", "y", "z"], "prompts": ["x"], "resources": ["file:///x"]},
	"b": {"tools": ["x"], "prompts": [], "resources": []},
	"empty": {},
}

list_of(server) := object.union(whole, {"mcp": {"method": "tools/list", "server": server, "kind": null, "name": null}})

seen(server, authz) := made if {
	made := mcp_authz.visible with input as list_of(server) with data.mcp.authz as authz with data.catalog as {"servers": servers}
}

test_all if {
	seen(null, {"allow": true}) == {
		"tools": {"a": ["x", "y", "z"], "b": ["x"]},
		"prompts": {"a": ["x"]},
		"resources": {"a": ["file:///x"]},
	}
}

test_one_server if seen("b", {"allow": true}) == {"tools": {"b": ["x"]}, "prompts": {}, "resources": {}}

test_one_kind if {
	every kind, list in {"tool": "tools", "prompt": "prompts", "resource": "resources"} {
		nothing := {"tools": {}, "prompts": {}, "resources": {}}
		asked := object.union(list_of(null), {"mcp": {"kind": kind}})
		made := mcp_authz.visible with input as asked
			with data.mcp.authz as {"allow": true}
			with data.catalog as {"servers": servers}
		made == object.union(nothing, {list: seen(null, {"allow": true})[list]})
	}
}

test_no_such_kind if {
	every kind in ["", "tools", "template", true, ["tool"]] {
		asked := object.union(list_of(null), {"mcp": {"kind": kind}})
		made := mcp_authz.visible with input as asked
			with data.mcp.authz as {"allow": true}
			with data.catalog as {"servers": servers}
		made == {"tools": {}, "prompts": {}, "resources": {}}
	}
}

test_unknown_server if {
	every server in ["c", "", "a/b", "__proto__"] {
		seen(server, {"allow": true}) == {"tools": {}, "prompts": {}, "resources": {}}
	}
}

test_nothing_allowed if seen(null, {"allow": false}) == {"tools": {}, "prompts": {}, "resources": {}}

test_scopes_count_for_lists if {
	seen("b", {"allow": true, "required_scopes": {"admin"}}).tools == {}
	seen("b", {"allow": true, "required_scopes": {"repo"}}).tools == {"b": ["x"]}
}

test_malformed_list_is_undefined if {
	every asked in [{}, object.remove(list_of("a"), ["identity"]), object.remove(list_of("a"), ["mcp"])] {
		not mcp_authz.visible with input as asked with data.mcp.authz as {"allow": true} with data.catalog as {"servers": servers}
	}
}
