package mcp.authz_test

import data.mcp.authz
import data.mcp_authz

alice := {"groups": ["engineering"], "scopes": ["mcp:read", "mcp:write"]}

bob := {"groups": ["finance"], "scopes": ["mcp:read", "mcp:write"]}

call(who, name, args) := {
	"identity": who,
	"mcp": {"method": "tools/call", "server": "demo", "kind": "tool", "name": name, "arguments": args, "version": "2025-11-25"},
}

test_alice_may_search if mcp_authz.decision.allow with input as call(alice, "search_docs", {})

test_alice_may_not_delete if not mcp_authz.decision.allow with input as call(alice, "delete_repo", {})

test_bob_may_nothing if not mcp_authz.decision.allow with input as call(bob, "whoami", {})

test_small_transfer if mcp_authz.decision.allow with input as call(alice, "transfer", {"amount": 1000})

test_large_transfer if not mcp_authz.decision.allow with input as call(alice, "transfer", {"amount": 1001})

test_negative_transfer if not mcp_authz.decision.allow with input as call(alice, "transfer", {"amount": -1})

test_text_is_no_amount if not mcp_authz.decision.allow with input as call(alice, "transfer", {"amount": "1"})

test_no_amount if not mcp_authz.decision.allow with input as call(alice, "transfer", {})

test_transfer_needs_its_scope if {
	narrow := {"groups": ["engineering"], "scopes": ["mcp:read"]}
	d := mcp_authz.decision with input as call(narrow, "transfer", {"amount": 1})
	d.allow == false
	d.curable == true
	d.required_scopes == {"mcp:write"}
}

test_a_scope_does_not_cure_a_missing_grant if {
	d := mcp_authz.decision with input as call(bob, "transfer", {"amount": 1})
	d.curable == false
}

test_lists_show_what_may_be_called if {
	catalog := {"servers": {"demo": {"tools": ["echo", "delete_repo", "transfer"], "prompts": ["summary"], "resources": ["docs://readme", "file:///etc/passwd"]}}}
	list := {"identity": alice, "mcp": {"method": "tools/list", "server": null, "version": "2025-11-25"}}
	v := mcp_authz.visible with input as list with data.catalog as catalog
	v.tools == {"demo": ["echo", "transfer"]}
	v.prompts == {"demo": ["summary"]}
	v.resources == {"demo": ["docs://readme"]}
}

test_reason if authz.reason == "above the limit" with input as call(alice, "transfer", {"amount": 5000})
