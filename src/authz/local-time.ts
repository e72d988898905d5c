// The date, time of day and weekday in zones of the IANA time zone database, for policy: Rego in WASM has no clock. Pure, but
// for the data of time zones that Node brings (`process.versions.tz`).

/** A moment in one zone. */
export interface LocalTime {
  /** As "2026-12-24". */
  readonly date: string;
  /** As "09:05", "00:00" to "23:59": it comes twice where a clock is set back, and not at all where it is set forward. */
  readonly clock: string;
  /** "monday" to "sunday". */
  readonly weekday: string;
}

export type LocalTimes = Readonly<Record<string, LocalTime>>;

/** Why a name is no zone to give to policy; null for one. */
export function zoneFault(name: string): string | null {
  const cure = "name a zone of the IANA time zone database, such as Europe/Berlin, or UTC";
  // Short names such as CET or EST mean one thing here and another there.
  if (name !== "UTC" && !/^[A-Za-z_]+(?:\/[A-Za-z0-9_+-]+)+$/.test(name)) return cure;
  try {
    const { timeZone } = new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions();
    const isMisspelled = timeZone !== name && timeZone.toLowerCase() === name.toLowerCase();
    return isMisspelled ? `is spelled ${timeZone}` : null;
  } catch {
    return `is not known: ${cure}`;
  }
}

const PARTS = {
  calendar: "gregory",
  numberingSystem: "latn",
  hourCycle: "h23",
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  weekday: "long",
} as const;
const MINUTE = 60;

/**
 * Makes a function of a moment, in seconds since the epoch; null without zones. Each minute is computed once: today's offsets are whole minutes.
 * @param zones good ones, by {@link zoneFault}
 */
export function createLocalTimes(zones: readonly string[]): (seconds: number) => LocalTimes | null {
  const formats = zones.map(
    (timeZone) => [timeZone, new Intl.DateTimeFormat("en-US", { ...PARTS, timeZone })] as const,
  );
  if (zones.length === 0) return () => null;
  let minute = Number.NaN;
  let times: LocalTimes = {};
  return (seconds) => {
    const now = Math.floor(seconds / MINUTE);
    if (now !== minute) {
      times = Object.fromEntries(formats.map(([zone, format]) => [zone, localTime(format, now * MINUTE * 1000)]));
      minute = now;
    }
    return times;
  };
}

function localTime(format: Intl.DateTimeFormat, ms: number): LocalTime {
  const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, value]));
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? "";
  return {
    date: `${part("year").padStart(4, "0")}-${part("month")}-${part("day")}`,
    clock: `${part("hour")}:${part("minute")}`,
    weekday: part("weekday").toLowerCase(),
  };
}
