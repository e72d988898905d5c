package mcp_authz

# True when one of the patterns fits the name. `*` stands for any run of characters; everything else is literal but for
# glob.match's own `?`, `[…]` and `{…}`. An undefined or wrong pattern fits nothing.
matches(patterns, name) if {
	some pattern in patterns
	glob.match(pattern, null, name)
}
