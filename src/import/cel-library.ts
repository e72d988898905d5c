// What the words of CEL and of Authorino's selectors mean, as Rego: the file `cel.rego` of an import. Pure.

/** Each function is undefined where CEL has an error, so that nothing that failed can hold. */
export const CEL_LIBRARY = `# Made by mcp-authz import: what CEL's operators mean. A function is undefined where CEL has an error.
package authpolicy.cel

import rego.v1

get(of, key) := of[key] if is_object(of)

get(of, key) := of[key] if {
	is_array(of)
	is_number(key)
}

has(of, key) := key in object.keys(of) if is_object(of)

member(item, of) := count([1 | some one in of; one == item]) > 0 if is_array(of)

member(item, of) := item in object.keys(of) if is_object(of)

same(a, b) := a == b

differs(a, b) := a != b

comparable(a, b) if {
	is_number(a)
	is_number(b)
}

comparable(a, b) if {
	is_string(a)
	is_string(b)
}

less(a, b) := a < b if comparable(a, b)

at_most(a, b) := a <= b if comparable(a, b)

add(a, b) := a + b if {
	is_number(a)
	is_number(b)
}

add(a, b) := concat("", [a, b]) if {
	is_string(a)
	is_string(b)
}

add(a, b) := array.concat(a, b) if {
	is_array(a)
	is_array(b)
}

subtract(a, b) := a - b if {
	is_number(a)
	is_number(b)
}

multiply(a, b) := a * b if {
	is_number(a)
	is_number(b)
}

size(of) := count(of) if type_name(of) in {"string", "array", "object"}

starts_with(text, part) := startswith(text, part) if comparable(text, part)

ends_with(text, part) := endswith(text, part) if comparable(text, part)

contains_text(text, part) := contains(text, part) if comparable(text, part)

matches(text, pattern) := regex.match(pattern, text) if comparable(text, pattern)

split_text(text, separator) := split(text, separator) if comparable(text, separator)

trim_text(text) := trim_space(text) if is_string(text)

# CEL changes ASCII letters only. Other letters have an ASCII one as their small or capital form: they have no value here.
lower_ascii(text) := lower(text) if is_ascii(text)

upper_ascii(text) := upper(text) if is_ascii(text)

is_ascii(text) if regex.match("^[\\\\x00-\\\\x7f]*$", text)

type_of(of) := {
	"string": "string", "boolean": "bool", "number": "double",
	"null": "null_type", "array": "list", "object": "map",
}[type_name(of)]

items(of) := of if is_array(of)

items(of) := [key | some key, _ in of] if is_object(of)

# The caller's claims with what the source adds where they lack it, and with what it puts in their place.
extended(claims, defaults, overrides) := object.union(object.remove(full, object.keys(overrides)), overrides) if {
	full := object.union(object.remove(defaults, object.keys(claims)), claims)
}

# What Authorino's selectors compare: the text of a value. Lists and objects have none here.
text(of) := of if is_string(of)

text(of) := "true" if of == true

text(of) := "false" if of == false

text(of) := "" if is_null(of)

text(of) := json.marshal(of) if is_number(of)

list(of) := of if is_array(of)

list(of) := [] if is_null(of)

list(of) := [of] if type_name(of) in {"string", "boolean", "number", "object"}

# An item that has no text is neither the one that is asked for nor another.
includes(of, item) if {
	some one in list(of)
	text(one) == item
}

includes(of, item) := false if count([1 | some one in list(of); text(one) != item]) == count(list(of))

excludes(of, item) := false if includes(of, item) == true

excludes(of, item) if includes(of, item) == false
`;
