// The issuers of a configuration, with the CAs of their files. I/O.
import type { Config } from "../config/load.ts";
import { readCaFile } from "../files/ca.ts";
import { outgoingOf } from "../http/outgoing.ts";
import type { IssuerOptions } from "../identity/identity.ts";

/** @throws {Error} that names the key of a CA file that cannot be read */
export function issuersOf({ identity, outgoing }: Config): IssuerOptions[] {
  const inside = outgoingOf(outgoing.allow);
  return identity.issuers.map((issuer, i) => ({
    ...issuer,
    ca: readCaFile(`identity.issuers[${i}].caFile`, issuer.caFile),
    outgoing: inside,
  }));
}
