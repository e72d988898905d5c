// The ticket of a request that was let through: the gateway keeps it, and shows it with the answer, which says nothing of its caller.
// Sealed, so that it can be made by nobody else and read by nobody. Pure but for randomness; time is passed in.
import { hkdfSync } from "node:crypto";
import { z } from "zod";
import type { PolicyCaller, RequestHeaders } from "../authz/types.ts";
import { isObject } from "../json/object.ts";
import type { JsonObject } from "../json/types.ts";
import { readJson } from "../json/strict-reader.ts";
import { createSealer, type SealContext, type Sealer } from "../secret/seal.ts";
import type { SigningKey } from "../wristband/keys.ts";

/** What a request's answer needs of it. */
export interface Admitted {
  /** The request's id, for the audit line. */
  readonly requestId: string;
  readonly caller: PolicyCaller;
  /** Actors of the caller's token. */
  readonly actors: readonly string[];
  /** Names of the servers that the caller's key opens; null for all. */
  readonly opens: readonly string[] | null;
  readonly virtualServer: string | null;
  readonly version: string;
  readonly host: string;
  readonly path: string;
  readonly sourceIp: string;
  /** The headers that policy sees, by name. */
  readonly headers: Readonly<Record<string, string>>;
  /** Seconds since the epoch. */
  readonly expiresAt: number;
}

/** What the answer must be of. */
export interface TicketUse {
  readonly method: string;
  readonly services: readonly string[];
}

/**
 * A ticket that was opened. The one value for which an answer passes: only {@link Tickets.open} makes it, and an object of the
 * same shape has no `#proven`.
 */
export class Ticket {
  readonly #proven = true;
  readonly admitted: Admitted;

  private constructor(admitted: Admitted) {
    this.admitted = admitted;
  }

  static is(value: unknown): value is Ticket {
    return typeof value === "object" && value !== null && #proven in value && value.#proven;
  }

  static opened(sealer: Sealer, [text, use]: readonly [string, TicketUse], now: number): Ticket | null {
    const bytes = sealer.open(text, contextOf(use));
    const json = bytes === null ? null : readJson(bytes, LIMITS);
    const parsed = schema.safeParse(json?.ok === true ? json.value : null);
    if (!parsed.success || parsed.data.expiresAt * 1000 <= now) return null;
    return new Ticket(parsed.data);
  }
}

export interface Tickets {
  seal(admitted: Admitted, use: TicketUse): string;
  /** Null for whatever was not sealed for this use, or is over. */
  open(text: string, use: TicketUse): Ticket | null;
}

/** Characters. A token of 16 KiB gives about as much. */
export const MAX_TICKET = 64 * 1024;
const KEY_BYTES = 32;
/** What was sealed was read strictly before. */
const LIMITS = { maxDepth: 70, maxMembers: 40_000, anyNames: true };

/**
 * @param keys those that sign wristbands: all serves of one configuration have them, so any of them opens the ticket
 * @param now milliseconds since the epoch
 */
export function createTickets(keys: () => readonly SigningKey[], now: () => number): Tickets {
  let of: readonly SigningKey[] | null = null;
  let sealer: Sealer | null = null;
  const current = (): Sealer => {
    const found = keys();
    if (sealer === null || found !== of) {
      of = found;
      sealer = createSealer(found.map(sealKeyOf), MAX_TICKET);
    }
    return sealer;
  };
  return {
    seal: (admitted, use) => current().seal(Buffer.from(JSON.stringify(admitted)), contextOf(use)),
    open: (text, use) => Ticket.opened(current(), [text, use], now()),
  };
}

/** A key of its own for each signing key (RFC 5869): what is sealed says nothing of a signature. */
function sealKeyOf({ kid, privateKey }: SigningKey) {
  const secret = privateKey.export({ type: "pkcs8", format: "der" });
  const key = hkdfSync("sha256", secret, "", "mcp-authz ext-mcp ticket", KEY_BYTES);
  return { id: Buffer.from(kid).toString("base64url").slice(0, 255), key: new Uint8Array(key) };
}

function contextOf({ method, services }: TicketUse): SealContext {
  return { purpose: "ext-mcp", bound: [method, ...services.toSorted()] };
}

const text = z.string();
const object = z.custom<JsonObject>(isObject);
const schema = z.strictObject({
  requestId: text,
  caller: z.strictObject({
    ...{ issuer: text, subject: text, username: text.nullable(), groups: z.array(text), scopes: z.array(text) },
    ...{
      kind: z.enum(["user", "machine"]),
      amr: z.array(text),
      acr: text.nullable(),
      auth_time: z.number().nullable(),
    },
    method: z.enum(["jwt", "api_key", "proxy", "development", "anonymous"]),
    claims: object,
  }),
  actors: z.array(text),
  opens: z.array(text).nullable(),
  virtualServer: text.nullable(),
  ...{ version: text, host: text, path: text, sourceIp: text },
  headers: z.record(text, text),
  expiresAt: z.int(),
});

/** The headers of an admitted request as policy asks for them. */
export function headersOf({ headers }: Admitted): RequestHeaders {
  const values = new Map(Object.entries(headers));
  return { get: (name) => values.get(name), repeated: () => false, names: () => values.keys() };
}
