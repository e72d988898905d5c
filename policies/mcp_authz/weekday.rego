package mcp_authz

import rego.v1

weekdays := {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}

# True if the weekday is one of the days: a text, or an array or set of texts, each one of mcp_authz.weekdays. Days of
# another form ("Mon", null, a number) end the evaluation, as with matches. A weekday of another form is none of them.
weekday_in(weekday, days) if {
	days_hold(days)
	weekday in listed_days(days)
}

days_hold(days) if are_days(days)

days_hold(days) := refused if {
	not are_days(days)
	some refused in [true, false]
}

are_days(days) if days in weekdays

are_days(days) if {
	type_name(days) in {"array", "set"}
	every day in days { day in weekdays }
}

listed_days(days) := [days] if is_string(days)

listed_days(days) := days if not is_string(days)
