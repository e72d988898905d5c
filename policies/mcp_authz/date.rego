package mcp_authz

import rego.v1

# True from the first to the last date, both included, as "2026-12-24". Dates of another form end the evaluation, as with
# matches; a first that is after the last holds never. A date of another form is never within.
date_within(date, first, last) if {
	dates_hold(first, last)
	is_date(date)
	first <= date
	date <= last
}

dates_hold(first, last) if are_dates(first, last)

dates_hold(first, last) := refused if {
	not are_dates(first, last)
	some refused in [true, false]
}

are_dates(first, last) if {
	is_date(first)
	is_date(last)
}

is_date(value) if {
	is_string(value)
	regex.match(`^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$`, value)
}
