package mcp_authz_test

import data.mcp_authz

whole := {
	"identity": {"issuer": "i", "subject": "alice", "username": null, "groups": [], "scopes": ["repo"], "claims": {}},
	"mcp": {"method": "tools/call", "server": "s", "kind": "tool", "name": "x", "arguments": {}, "version": "2025-11-25"},
	"request": {"host": "h", "path": "/mcp", "sourceIp": "192.0.2.1", "time": 1, "headers": {}},
}

decide(authz) := made if {
	made := mcp_authz.decision with input as whole with data.mcp.authz as authz
}

allows(authz) if decide(authz).allow == true

asks(authz) if {
	decide(authz).allow == false
	decide(authz).scope_insufficient == true
}

denies(authz) if {
	decide(authz).allow == false
	decide(authz).scope_insufficient == false
}

test_true_allows if allows({"allow": true})

test_only_true_allows if {
	every value in [false, null, 0, 1, "true", "", {}, {"allow": true}, [], [true], {true}] { denies({"allow": value}) }
}

test_undefined_denies if denies({})

test_every_field_is_needed if {
	every part in ["identity", "mcp", "request"] {
		every field, _ in whole[part] {
			less := object.union(object.remove(whole, [part]), {part: object.remove(whole[part], [field])})
			refuses(less)
		}
		refuses(object.remove(whole, [part]))
	}
}

test_authentication_has_its_types if {
	every field, wrong in {"kind": "robot", "method": 1, "amr": "mfa", "acr": 1, "auth_time": "1"} {
		refuses(object.union(whole, {"identity": {field: wrong}}))
	}
	known := {"kind": "machine", "method": "jwt", "amr": ["mfa"], "acr": "a", "auth_time": 1}
	mcp_authz.decision.allow with input as object.union(whole, {"identity": known}) with data.mcp.authz as {"allow": true}
}

test_empty_names_refuse if {
	refuses(object.union(whole, {"identity": {"subject": ""}}))
	refuses(object.union(whole, {"identity": {"issuer": ""}}))
	refuses(object.union(whole, {"mcp": {"server": ""}}))
	refuses(object.union(whole, {"mcp": {"name": ""}}))
	refuses(object.union(whole, {"mcp": {"kind": "other"}}))
}

refuses(asked) if {
	made := mcp_authz.decision with input as asked with data.mcp.authz as {"allow": true}
	made.allow == false
}

test_no_input_refuses if {
	made := mcp_authz.decision with input as {} with data.mcp.authz as {"allow": true}
	made.allow == false
	made.scope_insufficient == false
}

test_held_scope if allows({"allow": true, "required_scopes": {"repo"}})

test_no_scopes_asked if allows({"allow": true, "required_scopes": set()})

test_scopes_as_array if {
	allows({"allow": true, "required_scopes": ["repo"]})
	asks({"allow": true, "required_scopes": ["admin"]})
}

test_missing_scope if {
	asks({"allow": true, "required_scopes": {"repo", "admin"}})
	decide({"allow": true, "required_scopes": {"repo", "admin"}}).required_scopes == {"repo", "admin"}
}

test_a_scope_does_not_cure_a_denial if denies({"allow": false, "required_scopes": {"admin"}})

test_malformed_scopes_refuse if {
	every value in ["admin", "", null, false, 1, {"admin": true}, {"admin": "repo"}, {1}, [null], ["repo", 1]] {
		denies({"allow": true, "required_scopes": value})
	}
}

covers := {"admin": ["repo"], "repo": ["repo:read", "repo:write"], "loop": ["loop"]}

test_a_scope_covers_others if {
	allows({"allow": true, "required_scopes": {"repo:read", "repo:write"}, "scope_covers": covers})
	asks({"allow": true, "required_scopes": {"repo:admin"}, "scope_covers": covers})
	asks({"allow": true, "required_scopes": {"admin"}, "scope_covers": covers})
}

test_covering_goes_on if {
	made := mcp_authz.decision with input as object.union(whole, {"identity": {"scopes": ["admin"]}})
		with data.mcp.authz as {"allow": true, "required_scopes": {"repo:read"}, "scope_covers": covers}
	made.allow == true
}

test_malformed_cover_covers_nothing if {
	every value in [null, "repo:read", [["repo", "repo:read"]], {"repo": "repo:read"}, {"repo": 1}] {
		asks({"allow": true, "required_scopes": {"repo:read"}, "scope_covers": value})
	}
}

test_reason_is_text if {
	decide({"reason": "why"}).reason == "why"
	decide({"reason": {"a": 1}}).reason == null
	decide({}).reason == null
}
