package mcp_authz_test

import data.mcp_authz

ask := {"identity": {"groups": [], "scopes": ["repo"]}, "mcp": {"method": "tools/call", "server": "s", "kind": "tool", "name": "x", "arguments": {}}}

allows(authz) if mcp_authz.decision.allow with input as ask with data.mcp.authz as authz

test_allow if allows({"allow": true})

test_only_true_allows if {
	every value in [false, null, 1, "true", {}, {"allow": true}, [true]] { not allows({"allow": value}) }
}

test_undefined_denies if not allows({})

test_held_scope if allows({"allow": true, "required_scopes": {"repo"}})

test_missing_scope if not allows({"allow": true, "required_scopes": {"repo", "admin"}})

test_scopes_as_array if not allows({"allow": true, "required_scopes": ["admin"]})

test_malformed_scopes_refuse if {
	every value in ["admin", null, false, 1, {"admin": true}, {1}, [null]] { not allows({"allow": true, "required_scopes": value}) }
}

test_scope_covers if allows({"allow": true, "required_scopes": {"repo:read"}, "scope_covers": {"repo": ["repo:read"]}})

test_curable if {
	d := mcp_authz.decision with input as ask with data.mcp.authz as {"allow": true, "required_scopes": {"admin"}}
	d.curable == true
	d.required_scopes == {"admin"}
}

test_matches if {
	mcp_authz.matches(["a", "search_*"], "search_x.y/z")
	mcp_authz.matches(["*"], "anything")
	mcp_authz.matches(["*_read"], "file_read")
	mcp_authz.matches(["a*b*c"], "a1b2c")
	not mcp_authz.matches(["search_*"], "xsearch_")
	not mcp_authz.matches(["ab*bc"], "abc")
	not mcp_authz.matches(["a*b*c"], "a1b2")
	not mcp_authz.matches([], "a")
	not mcp_authz.matches([null, 1], "a")
}
