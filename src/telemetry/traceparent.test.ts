import { expect, it } from "vitest";
import { traceId } from "./traceparent.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";

it.each<[string, string | undefined, string | null]>([
  ["of version 00", `00-${TRACE}-${PARENT}-01`, TRACE],
  ["of a later version, with more", `cc-${TRACE}-${PARENT}-01-what-comes`, TRACE],
  ["none", undefined, null],
  ["empty", "", null],
  ["of version ff", `ff-${TRACE}-${PARENT}-01`, null],
  ["of version 00 with more", `00-${TRACE}-${PARENT}-01-x`, null],
  ["of zeros", `00-${"0".repeat(32)}-${PARENT}-01`, null],
  ["with a parent of zeros", `00-${TRACE}-${"0".repeat(16)}-01`, null],
  ["in upper case", `00-${TRACE.toUpperCase()}-${PARENT}-01`, null],
  ["too short", `00-${TRACE.slice(1)}-${PARENT}-01`, null],
  ["twice", `00-${TRACE}-${PARENT}-01,00-${TRACE}-${PARENT}-01`, null],
  ["J06: with a line end", `00-${TRACE}-${PARENT}-01\n`, null],
])("a traceparent %s", (_, header, expected) => expect(traceId(header)).toBe(expected));
