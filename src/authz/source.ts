// The source of a request, in the words that count: one sender of many addresses is one source. Pure.
import { isIPv4, isIPv6 } from "node:net";
import type { Caller } from "./in-flight.ts";
import { ANONYMOUS_ISSUER } from "./own-issuers.ts";

/** No configured issuer is called so. */
const NO_ISSUER = "";
const MAX_ADDRESS = 64;

/** Whom a request without a credential counts against. */
export function sourceCaller(address: string | null): Caller {
  return { issuer: NO_ISSUER, subject: sourceOf(address ?? "") };
}

/**
 * Whom a request with a caller counts against: all who present nothing at public servers are one caller for policy, and one of them
 * must not use up what the others have.
 */
export function countedCaller(caller: Caller, address: string | null): Caller {
  if (caller.issuer !== ANONYMOUS_ISSUER) return caller;
  return { issuer: ANONYMOUS_ISSUER, subject: sourceOf(address ?? "") };
}

/** The part of an address that one sender cannot change at will: an IPv4 address, or the /64 of an IPv6 one (RFC 6177). */
export function sourceOf(address: string): string {
  const plain = address.toLowerCase().replace(/%.*$/, "");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain)?.[1];
  if (mapped !== undefined && isIPv4(mapped)) return mapped;
  if (!isIPv6(plain)) return address.slice(0, MAX_ADDRESS);
  const [head = "", tail] = plain.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  // An IPv4 address at the end stands for two groups.
  const groups = before.length + after.length + (plain.includes(".") ? 1 : 0);
  const zeros = tail === undefined ? 0 : 8 - groups;
  const network = [...before, ...Array.from({ length: zeros }, () => "0"), ...after].slice(0, 4);
  return `${network.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
