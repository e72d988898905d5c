package mcp_authz_test

import data.mcp_authz

# [clock, from, to] that hold: from is in, to is not; over midnight; until the end of the day.
inside := [
	["09:00", "09:00", "17:00"],
	["16:59", "09:00", "17:00"],
	["00:00", "00:00", "24:00"],
	["23:59", "00:00", "24:00"],
	["22:00", "22:00", "06:00"],
	["00:00", "22:00", "06:00"],
	["05:59", "22:00", "06:00"],
]

outside := [
	["08:59", "09:00", "17:00"],
	["17:00", "09:00", "17:00"],
	["06:00", "22:00", "06:00"],
	["21:59", "22:00", "06:00"],
	["09:00", "09:00", "09:00"],
]

test_within if {
	every one in inside { mcp_authz.within(one[0], one[1], one[2]) }
	every one in outside { not mcp_authz.within(one[0], one[1], one[2]) }
}

# What is not from nine to five is from five to nine.
test_the_rest_of_the_day if {
	every clock in ["00:00", "08:59", "09:00", "12:00", "16:59", "17:00", "23:59"] {
		answers := [1 | some ends in [["09:00", "17:00"], ["17:00", "09:00"]]; mcp_authz.within(clock, ends[0], ends[1])]
		count(answers) == 1
	}
}

odd := [null, true, 9, "", "9:00", "24:00", "09:60", "09:00:00", "0900", " 09:00", "09:00\n", "monday", ["09:00"], {"a": "09:00"}]

test_a_clock_of_another_form if every clock in odd { not mcp_authz.within(clock, "00:00", "24:00") }

test_undefined_is_not_within if {
	count([1 | mcp_authz.within("10:00", data.nothing.here, "24:00")]) == 0
	count([1 | mcp_authz.weekday_in("monday", data.nothing.here)]) == 0
	count([1 | mcp_authz.date_within("2026-01-01", data.nothing.here, "2026-12-31")]) == 0
}

test_weekday if {
	mcp_authz.weekday_in("monday", ["monday", "friday"])
	mcp_authz.weekday_in("monday", {"monday"})
	mcp_authz.weekday_in("monday", "monday")
	mcp_authz.weekday_in("sunday", mcp_authz.weekdays)
	not mcp_authz.weekday_in("monday", ["tuesday"])
	not mcp_authz.weekday_in("monday", [])
	every weekday in array.concat(odd, ["Monday", "mon"]) { not weekday_fits(weekday) }
}

weekday_fits(weekday) if {
	weekday != "monday"
	mcp_authz.weekday_in(weekday, mcp_authz.weekdays)
}

test_date if {
	mcp_authz.date_within("2026-12-24", "2026-12-24", "2026-12-26")
	mcp_authz.date_within("2026-12-26", "2026-12-24", "2026-12-26")
	not mcp_authz.date_within("2026-12-23", "2026-12-24", "2026-12-26")
	not mcp_authz.date_within("2026-12-27", "2026-12-24", "2026-12-26")
	not mcp_authz.date_within("2026-12-25", "2026-12-26", "2026-12-24")
	every date in array.concat(odd, ["2026-1-1", "2026-13-01", "20261225", "2026-12-25T00:00:00Z"]) {
		not mcp_authz.date_within(date, "0000-01-01", "9999-12-31")
	}
}
