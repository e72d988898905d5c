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

strong := object.union(whole, {"identity": {"acr": "mfa", "auth_time": 0}, "request": {"time": 100}})

stepping(asked, authz) := made if {
	made := mcp_authz.decision with input as asked with data.mcp.authz as authz
}

test_step_up_that_is_there if {
	every wanted in [{"acr_values": ["mfa"]}, {"acr_values": {"mfa", "hwk"}}, {"max_age": 100}, {"acr_values": ["x", "mfa"], "max_age": 200}] {
		stepping(strong, {"allow": true, "step_up": wanted}).allow == true
	}
}

test_step_up_that_is_wanted if {
	every wanted in [{"acr_values": ["hwk"]}, {"max_age": 99}, {"acr_values": ["mfa"], "max_age": 0}] {
		made := stepping(strong, {"allow": true, "step_up": wanted})
		made.allow == false
		made.scope_insufficient == false
		made.step_up.max_age == object.get(wanted, "max_age", null)
		made.step_up.acr_values == object.get(wanted, "acr_values", [])
	}
}

test_unknown_log_in_never_suffices if {
	every wanted in [{"acr_values": ["mfa"]}, {"max_age": 1000000000}] {
		made := stepping(whole, {"allow": true, "step_up": wanted})
		made.allow == false
		made.step_up != null
	}
}

test_malformed_step_up_refuses if {
	every value in [null, false, true, 1, "", [], {}, set(), {"acr_values": []}, {"acr_values": "mfa"}, {"acr_values": [1]}, {"max_age": "1"}, {"max_age": -1}, {"max_age": 1.5}, {"max_age": null}, {"acr_values": ["mfa"], "maxage": 1}] {
		made := stepping(strong, {"allow": true, "step_up": value})
		made.allow == false
		made.step_up == null
	}
}

test_a_log_in_does_not_cure_a_denial if {
	made := stepping(whole, {"allow": false, "step_up": {"max_age": 1}})
	made.step_up == null
}

test_scopes_and_log_in_together if {
	made := stepping(whole, {"allow": true, "required_scopes": {"admin"}, "step_up": {"max_age": 1}})
	made.allow == false
	made.scope_insufficient == false
	made.step_up == {"acr_values": [], "max_age": 1}
	made.required_scopes == {"admin"}
}

test_labels if {
	labels_of({"allow": true}) == []

	# WebAssembly has another order of sets.
	{"a", "b"} == {label | some label in labels_of({"allow": true, "labels": {"a", "b"}})}
	labels_of({"allow": false, "labels": ["a", 1, null]}) == ["a"]
	every odd in [null, "a", 1, {"a": "b"}] { labels_of({"allow": true, "labels": odd}) == [] }
}

labels_of(authz) := made if {
	decision := mcp_authz.decision with input as whole with data.mcp.authz as authz
	decision.allow == authz.allow
	made := decision.labels
}
