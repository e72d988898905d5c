package mcp_authz

import rego.v1

# RFC 9470: what the caller's log-in must be, as `step_up := {"acr_values": ["urn:example:mfa"], "max_age": 300}`. A list shows
# what a new log-in would open: otherwise nobody would learn that one is wanted.
step_up_suffices if not step_up_asked

step_up_suffices if object.get(input.mcp, "listing", false) == true

# Anything but such an object never suffices: read as "nothing is asked" it would allow too much.
step_up_suffices if {
	step_up_holds
	acr_suffices
	age_suffices
}

# Whatever was asked, null and false too.
step_up_asked if {
	asked := data.mcp.authz.step_up
	asked == asked
}

step_up_holds if {
	is_object(data.mcp.authz.step_up)
	keys := object.keys(data.mcp.authz.step_up)
	count(keys) > 0
	count(keys - {"acr_values", "max_age"}) == 0
	type_name(object.get(data.mcp.authz.step_up, "acr_values", [])) in {"array", "set"}
	every value in object.get(data.mcp.authz.step_up, "acr_values", ["none"]) { is_string(value) }
	count(object.get(data.mcp.authz.step_up, "acr_values", ["none"])) > 0
	age_holds
}

age_holds if not "max_age" in object.keys(data.mcp.authz.step_up)

age_holds if {
	is_number(data.mcp.authz.step_up.max_age)
	data.mcp.authz.step_up.max_age >= 0
	floor(data.mcp.authz.step_up.max_age) == data.mcp.authz.step_up.max_age
}

acr_suffices if not "acr_values" in object.keys(data.mcp.authz.step_up)

acr_suffices if {
	is_string(input.identity.acr)
	input.identity.acr in data.mcp.authz.step_up.acr_values
}

age_suffices if not "max_age" in object.keys(data.mcp.authz.step_up)

age_suffices if {
	is_number(input.identity.auth_time)
	input.request.time - input.identity.auth_time <= data.mcp.authz.step_up.max_age
}

# What a new log-in must be, if the same request after it, with the required scopes, would be allowed.
default step_up := null

step_up := {"acr_values": wanted, "max_age": object.get(data.mcp.authz.step_up, "max_age", null)} if {
	known_caller
	known_operation
	step_up_holds
	not step_up_suffices
	wanted := [value | some value in object.get(data.mcp.authz.step_up, "acr_values", [])]
	reached := object.union(input.identity, {"auth_time": input.request.time, "acr": reached_acr(wanted)})
	scopes := array.concat(input.identity.scopes, [scope | some scope in required_scopes])
	permitted with input.identity as object.union(reached, {"scopes": scopes})
}

reached_acr([]) := object.get(input.identity, "acr", null)

reached_acr(wanted) := wanted[0] if count(wanted) > 0
