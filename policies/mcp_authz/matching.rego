package mcp_authz

# True when one of the patterns fits the name: an exact name, or one with `*` for any run of characters. An undefined
# pattern, or one that is no text, fits nothing. Only patterns with several stars need glob.match, which is slow.
matches(patterns, name) if name in patterns

matches(patterns, name) if {
	some pattern in patterns
	fits(split(pattern, "*"), pattern, name)
}

fits(parts, _, name) if {
	count(parts) == 2
	startswith(name, parts[0])
	endswith(name, parts[1])
	count(name) >= count(parts[0]) + count(parts[1])
}

fits(parts, pattern, name) if {
	count(parts) > 2
	glob.match(pattern, null, name)
}
