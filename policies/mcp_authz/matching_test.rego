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
	[["*delete*all*"], "delete_all_repos"],
	[["a*b*c*d*e"], "abcde"],
	[["*a*a*a*"], "aaa"],
	[["****"], "anything"],
	[["*.*+*(*"], "a.b+c(d"],
	[["*\\E*\\Q*"], "1\\E2\\Q3"],
	[["docs://*/*/*"], "docs://a/b\nc/d"],
	["*delete*", "delete_repo"],
	["search", "search"],
	[{"*a*b*c*", "x"}, "abc"],
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
	[["*a*b*c*"], "acb"],
	[["a*a*a*a"], "aaa"],
	[["*.*+*(*"], "axb+c(d"],
	[["*[abc]*[abc]*[abc]*"], "abc"],
	["*delete*", "Delete_repo"],
	["", "a"],
	[[""], "a"],
	[[], "a"],
]

test_fits if {
	every pair in fitting { mcp_authz.matches(pair[0], pair[1]) }
}

test_does_not_fit if {
	every pair in unfitting { not mcp_authz.matches(pair[0], pair[1]) }
}

# `not matches` holds for patterns that are not there, matches_none does not.
test_none if {
	every pair in unfitting { none_fits(pair) != is_empty(pair[0]) }
}

default none_fits(_) := false

none_fits(pair) if mcp_authz.matches_none(pair[0], pair[1])

default is_empty(_) := false

is_empty(patterns) if patterns in {"", [""]}

test_none_of_what_fits if {
	every pair in fitting { not mcp_authz.matches_none(pair[0], pair[1]) }
}

test_a_name_that_is_no_text if {
	every name in [null, 1, true, ["a"], {"a": 1}] {
		not mcp_authz.matches(["*", "*a*b*c*"], name)
		not mcp_authz.matches_none(["b", "*a*b*c*"], name)
	}
}

test_none_of_undefined if count([1 | mcp_authz.matches_none(data.nothing.here, "a")]) == 0

test_undefined_fits_nothing if count([1 | mcp_authz.matches(data.nothing.here, "a")]) == 0
