package mcp_authz

import rego.v1

# True from `from` until before `to`, times of day as "09:00"; `to` may be "24:00". Where `from` is later than `to` the time
# goes over midnight, so within(clock, to, from) is the rest of the day; the same time twice holds never. Other forms of
# `from` and `to` end the evaluation: the request is refused, whether they allow or deny. A clock of another form is never within.
within(clock, from, to) if {
	times_hold(from, to)
	is_time(clock)
	lies_within(clock, from, to)
}

lies_within(clock, from, to) if {
	from < to
	from <= clock
	clock < to
}

lies_within(clock, from, to) if {
	from > to
	from <= clock
}

lies_within(clock, from, to) if {
	from > to
	clock < to
}

times_hold(from, to) if are_times(from, to)

# Two answers at once are an error that ends the evaluation, in opa and in WASM, also under `not`.
times_hold(from, to) := refused if {
	not are_times(from, to)
	some refused in [true, false]
}

are_times(from, to) if {
	is_time(from)
	is_end(to)
}

is_time(value) if {
	is_string(value)
	regex.match(`^([01][0-9]|2[0-3]):[0-5][0-9]$`, value)
}

is_end(value) if is_time(value)

is_end("24:00")
