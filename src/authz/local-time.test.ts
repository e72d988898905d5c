import { describe, expect, it } from "vitest";
import { createLocalTimes, zoneFault } from "./local-time.ts";

const at = (zone: string, time: string) => {
  const local = createLocalTimes([zone])(Date.parse(time) / 1000)?.[zone];
  return `${local?.date} ${local?.clock} ${local?.weekday}`;
};

describe("the clock in a zone", () => {
  it.each([
    ["UTC", "2026-11-30T00:00:00Z", "2026-11-30 00:00 monday"],
    ["UTC", "2026-11-30T23:59:59.999Z", "2026-11-30 23:59 monday"],
    ["Asia/Kathmandu", "2026-11-30T18:15:00Z", "2026-12-01 00:00 tuesday"],
    ["America/New_York", "2027-01-01T04:59:59Z", "2026-12-31 23:59 thursday"],
    ["Pacific/Kiritimati", "2026-12-31T10:00:00Z", "2027-01-01 00:00 friday"],
    ["Asia/Tehran", "2024-02-29T20:30:00Z", "2024-03-01 00:00 friday"],
    ["Asia/Riyadh", "2026-06-01T12:00:00Z", "2026-06-01 15:00 monday"],
    ["Asia/Bangkok", "2026-06-01T12:00:00Z", "2026-06-01 19:00 monday"],
  ])("%s at %s", (zone, time, local) => expect(at(zone, time)).toBe(local));

  it.each([
    // Set forward: 02:00 is 03:00.
    ["Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29 01:59 sunday"],
    ["Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29 03:00 sunday"],
    ["America/New_York", "2026-03-08T06:59:00Z", "2026-03-08 01:59 sunday"],
    ["America/New_York", "2026-03-08T07:00:00Z", "2026-03-08 03:00 sunday"],
    // Set back: 02:30 comes twice, an hour apart.
    ["Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25 02:30 sunday"],
    ["Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25 02:30 sunday"],
    ["Europe/Berlin", "2026-10-25T02:00:00Z", "2026-10-25 03:00 sunday"],
    // By half an hour.
    ["Australia/Lord_Howe", "2026-10-03T15:29:00Z", "2026-10-04 01:59 sunday"],
    ["Australia/Lord_Howe", "2026-10-03T15:30:00Z", "2026-10-04 02:30 sunday"],
    // At midnight: the day begins at 01:00.
    ["Africa/Cairo", "2026-04-23T21:59:00Z", "2026-04-23 23:59 thursday"],
    ["Africa/Cairo", "2026-04-23T22:00:00Z", "2026-04-24 01:00 friday"],
  ])("on a day of change, %s at %s", (zone, time, local) => expect(at(zone, time)).toBe(local));

  it("changes with the minute, forward and back", () => {
    const local = createLocalTimes(["UTC", "Europe/Berlin"]);
    const clocks = (seconds: number) => Object.values(local(seconds) ?? {}).map(({ clock }) => clock);
    expect([59, 60, 59, 0, 3600].map(clocks)).toEqual([
      ["00:00", "01:00"],
      ["00:01", "01:01"],
      ["00:00", "01:00"],
      ["00:00", "01:00"],
      ["01:00", "02:00"],
    ]);
  });
});

describe("names of zones", () => {
  it.each(["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "US/Eastern", "Etc/GMT+5"])("%s", (name) =>
    expect(zoneFault(name)).toBeNull(),
  );
  it.each<readonly [string, RegExp]>([
    ["europe/berlin", /is spelled Europe\/Berlin/],
    ["Europe/Berln", /is not known/],
    ...["", "CET", "EST", "+01:00", "GMT+1", "utc", "Europe/", "local", "Europe/Berlin ", "../etc", "__proto__"].map(
      (name) => [name, /^name a zone/] as const,
    ),
  ])("%j", (name, words) => expect(zoneFault(name)).toMatch(words));
});
