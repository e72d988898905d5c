// The guard of every outgoing request: the addresses to which it may go, after DNS and pinned for its connection (decision
// record 017). I/O: DNS.
import { lookup, type LookupAddress } from "node:dns";
import { isIP, type BlockList, type LookupFunction } from "node:net";
import { isAddressOrRange, isListed, isNever, isPublic, listOf } from "./addresses.ts";
import { HttpFault } from "./fault.ts";

/**
 * Who chose the URL. `configured`: the configuration, so that it may be private. `document`: somebody else's document, so
 * that it must be public or allowed. Link-local and metadata addresses are for neither.
 */
export type ChosenBy = "configured" | "document";

/** Resolves a name to all of its addresses, as `dns.lookup` does. */
export type Resolve = (
  hostname: string,
  options: { readonly all: true },
  callback: (error: Error | null, addresses: LookupAddress[]) => void,
) => void;

/** What documents may name inside. */
export interface Outgoing {
  readonly hosts: ReadonlySet<string>;
  readonly ranges: BlockList;
  /** In place of the system's resolver. */
  readonly resolve?: Resolve;
}

/** Host names, addresses and ranges of the configuration (`outgoing.allow`). */
export function outgoingOf(allow: readonly string[]): Outgoing {
  const hosts = new Set(allow.filter((entry) => !isAddressOrRange(entry)).map(bare));
  return { hosts, ranges: listOf(allow.filter(isAddressOrRange)) };
}

const NOTHING_INSIDE = outgoingOf([]);

export interface Guard {
  /** Why no request goes to this host, which can be told without DNS: an address, or null. */
  readonly fault: HttpFault | null;
  /** Resolves once for each connection, and gives only addresses that may be connected to. */
  readonly lookup: LookupFunction;
}

/** The guard of one origin. @param hostname as `URL` gives it, which has normalised odd spellings of addresses */
export function createGuard(hostname: string, chosenBy: ChosenBy, outgoing: Outgoing = NOTHING_INSIDE): Guard {
  const { hosts, ranges, resolve = lookup } = outgoing;
  const host = bare(hostname);
  const needsPublic = chosenBy === "document" && !hosts.has(host);
  const faultOf = (address: string): HttpFault | null => {
    if (isNever(address)) return new HttpFault("address_refused", "LINK_LOCAL_ADDRESS");
    if (!needsPublic || isPublic(address) || isListed(ranges, address)) return null;
    return new HttpFault("address_refused", "PRIVATE_ADDRESS");
  };
  return {
    fault: isIP(host) === 0 ? null : faultOf(host),
    lookup(name, options, callback) {
      resolve(name, { ...options, all: true }, (error, addresses) => {
        if (error !== null) return callback(error, "");
        const faults = addresses.map(({ address }) => faultOf(address));
        const allowed = addresses.filter((_, i) => faults[i] === null);
        const [first] = allowed;
        if (first === undefined) callback(faults[0] ?? new HttpFault("unreachable", "ENOTFOUND"), "");
        else if (options.all === true) callback(null, allowed);
        else callback(null, first.address, first.family);
      });
    },
  };
}

/** True for a host that is itself an address inside, or a name of loopback (RFC 6761 §6.3). */
export function isPrivateHost(hostname: string): boolean {
  const host = bare(hostname);
  return /(?:^|\.)localhost\.?$/i.test(host) || (isIP(host) !== 0 && !isPublic(host));
}

/** True for a host that is an address to which no request goes. */
export function isNeverHost(hostname: string): boolean {
  const host = bare(hostname);
  return isIP(host) !== 0 && isNever(host);
}

function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$|\.$/g, "");
}
