package mcp_authz

import rego.v1

# True if one of the patterns fits the whole name. Patterns are a text, or an array or set of texts. `*` stands for any run
# of characters, "/" and "." included, also for none, any number of times. Everything else is literal, upper and lower case
# differ. Patterns of any other form end the evaluation: the request is refused, whether they allow or deny. A name that is
# no text fits nothing.
matches(patterns, name) if {
	patterns_hold(patterns)
	one_fits(patterns, name)
}

# True if no pattern fits the name: for deny lists. In place of `not matches(data.deny, name)`, which holds where data.deny
# is not there at all, this one holds only for patterns that are there, none of them empty, and a name that is a text.
matches_none(patterns, name) if {
	patterns_hold(patterns)
	is_string(name)
	every pattern in listed_patterns(patterns) { pattern != "" }
	not one_fits(patterns, name)
}

patterns_hold(patterns) if are_texts(patterns)

# Two answers at once are an error that ends the evaluation, in opa and in WASM, also under `not`.
patterns_hold(patterns) := refused if {
	not are_texts(patterns)
	some refused in [true, false]
}

are_texts(patterns) if is_string(patterns)

are_texts(patterns) if {
	type_name(patterns) in {"array", "set"}
	every pattern in patterns { is_string(pattern) }
}

one_fits(patterns, name) if {
	name == patterns
} else if {
	name in patterns
} else if {
	some pattern in listed_patterns(patterns)
	contains(pattern, "*")
	fits(split(pattern, "*"), name)
}

listed_patterns(patterns) := [patterns] if is_string(patterns)

listed_patterns(patterns) := patterns if not is_string(patterns)

# String built-ins for one and two `*`, not glob.match, which takes 7 µs a time in WASM.
fits([head, tail], name) if {
	startswith(name, head)
	endswith(trim_prefix(name, head), tail)
}

fits([head, middle, tail], name) if {
	startswith(name, head)
	rest := trim_prefix(name, head)
	endswith(rest, tail)
	contains(trim_suffix(rest, tail), middle)
}

fits(parts, name) if {
	count(parts) > 3
	expression_holds(parts, name)
}

# \Q…\E is literal text (github.com/google/re2/wiki/Syntax). An expression that cannot be read ends the evaluation as well.
expression_holds(parts, name) := answer if {
	literal := [replace(part, `\E`, `\E\\E\Q`) | some part in parts]
	is_string(name)
	answer := regex.match(concat("", [`(?s)\A\Q`, concat(`\E.*\Q`, literal), `\E\z`]), name)
} else := refused if {
	is_string(name)
	some refused in [true, false]
}
