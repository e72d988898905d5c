package mcp.authz_test

import data.mcp.authz
import data.mcp_authz

# An input in full, as `mcp-authz input` prints it.
person(name, groups, scopes) := {
	"issuer": "https://idp.example.com",
	"subject": name,
	"username": name,
	"groups": groups,
	"scopes": scopes,
	"kind": "user",
	"method": "jwt",
	"amr": [],
	"acr": null,
	"auth_time": null,
	"claims": {},
}

alice := person("alice", ["engineering"], ["mcp:read", "mcp:write"])

bob := person("bob", ["finance"], ["mcp:read", "mcp:write"])

request := {"host": "gw.example.com", "path": "/servers/demo/mcp", "sourceIp": "192.0.2.1", "time": 1790000000, "headers": {}}

call(who, name, args) := {
	"identity": who,
	"request": request,
	"mcp": {"method": "tools/call", "server": "demo", "kind": "tool", "name": name, "arguments": args, "version": "2025-11-25"},
}

test_alice_may_search if mcp_authz.decision.allow with input as call(alice, "search_docs", {})

# The pane that get-budget-data opens is a resource of its server.
test_alice_may_read_what_a_tool_shows if {
	read := {"method": "resources/read", "server": "budget", "kind": "resource", "name": "ui://budget-allocator/mcp-app.html", "arguments": {}, "version": "2025-11-25"}
	mcp_authz.decision.allow with input as object.union(call(alice, "", {}), {"mcp": read})
}

test_alice_may_not_delete if not mcp_authz.decision.allow with input as call(alice, "delete_repo", {})

test_bob_may_nothing if {
	every name in ["echo", "whoami", "search_docs", "transfer", "delete_repo"] {
		decision := mcp_authz.decision with input as call(bob, name, {})
		decision.allow == false
	}
}

test_nobody_else_may if not mcp_authz.decision.allow with input as call(person("eve", [], []), "echo", {})

test_small_transfer if mcp_authz.decision.allow with input as call(alice, "transfer", {"amount": 1000})

test_large_transfer if not mcp_authz.decision.allow with input as call(alice, "transfer", {"amount": 1001})

test_negative_transfer if not mcp_authz.decision.allow with input as call(alice, "transfer", {"amount": -1})

test_a_thousand_in_another_notation if mcp_authz.decision.allow with input as call(alice, "transfer", {"amount": 1e3})

test_text_is_no_amount if not mcp_authz.decision.allow with input as call(alice, "transfer", {"amount": "1001"})

test_no_amount if not mcp_authz.decision.allow with input as call(alice, "transfer", {})

test_transfer_needs_its_scope if {
	narrow := person("alice", ["engineering"], ["mcp:read"])
	d := mcp_authz.decision with input as call(narrow, "transfer", {"amount": 1})
	d.allow == false
	d.scope_insufficient == true
	d.required_scopes == {"mcp:write"}
}

test_a_scope_does_not_cure_a_missing_grant if {
	d := mcp_authz.decision with input as call(bob, "transfer", {"amount": 1})
	d.scope_insufficient == false
}

test_lists_show_what_may_be_called if {
	catalog := {"servers": {"demo": {"tools": ["echo", "delete_repo", "transfer"], "prompts": ["summary"], "resources": ["docs://readme", "file:///etc/passwd"]}}}
	list := {"identity": alice, "request": request, "mcp": {"method": "tools/list", "server": null, "version": "2025-11-25"}}
	v := mcp_authz.visible with input as list with data.catalog as catalog
	v.tools == {"demo": ["echo", "transfer"]}
	v.prompts == {"demo": ["summary"]}
	v.resources == {"demo": ["docs://readme"]}
}

test_reason if authz.reason == "above the limit" with input as call(alice, "transfer", {"amount": 5000})
