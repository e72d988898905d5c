package mcp_authz_test

import data.mcp_authz

# [patterns, name] that fit. Between them: is, in, starts with, ends with, contains.
fitting := [
	[["search"], "search"],
	[["a", "b", "search"], "search"],
	[{"a", "search"}, "search"],
	[["search_*"], "search_docs"],
	[["search_*"], "search_"],
	[["search_*"], "search_a.b/c d"],
	[["*_read"], "repo_read"],
	[["*repo*"], "my_repo_list"],
	[["*repo*"], "repo"],
	[["get_*_by_*"], "get_user_by_id"],
	[["get_*_id"], "get_user_id"],
	[["a*b*c"], "a1b2c"],
	[["*"], "anything"],
	[["**"], "anything"],
	[["docs://*"], "docs://a/b?c=ü"],
	[["ü*ß"], "über-fuß"],
	[["a?[b]{c}*"], "a?[b]{c}d"],
	[[null, 1, "a*"], "ab"],
]

# … and that do not. `not matches` is "not in": what nobody listed is refused.
unfitting := [
	[["search"], "Search"],
	[["search"], "search2"],
	[["search"], "research"],
	[["search_*"], "xsearch_"],
	[["search_*"], "search"],
	[["*_read"], "repo_read2"],
	[["ab*ba"], "aba"],
	[["aba*aba"], "aba"],
	[["a*b*c"], "acb"],
	[["a*b*c"], "a1b2"],
	[["ab*bc"], "abc"],
	[["ab*b*c"], "abc"],
	[["a*bc*c"], "abc"],
	[["*repo*"], "rep"],
	[["a.c"], "abc"],
	[["a?c"], "abc"],
	[["[ab]*"], "ab"],
	[["*a*b*"], "ab"],
	[[""], "a"],
	[[], "a"],
	[[null, 1, {"a": "b"}], "a"],
	["*", "a"],
	[null, "a"],
	[{"search": true}, "search"],
]

test_fits if {
	every pair in fitting { mcp_authz.matches(pair[0], pair[1]) }
}

test_does_not_fit if {
	every pair in unfitting { not mcp_authz.matches(pair[0], pair[1]) }
}

test_undefined_fits_nothing if count([1 | mcp_authz.matches(data.nothing.here, "a")]) == 0
