// The era of a server: learns whether it speaks the stateless revision or an older one, and does the handshake of those. Pure:
// messages are sent by the function that is passed in.
import { IMPLEMENTATION } from "../../files/version.ts";
import { HttpFault } from "../../http/client.ts";
import { isObject } from "../../json/object.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { MODERN } from "../../mcp/versions.ts";
import { META_CAPABILITIES, META_CLIENT, META_VERSION } from "../../mcp/meta.ts";

export type Era = "modern" | "legacy";

/** The form of MCP that a server gets: the stateless revision, or an older one, with a session if the server gave one. */
export type Dialect = { readonly era: "modern" } | LegacyDialect;

export interface LegacyDialect {
  readonly era: "legacy";
  /** The revision that the server chose in its handshake; null until then. */
  readonly version: string | null;
  readonly session: string | null;
}

/** The response of a server to one message of ours. `message` is null where there was no JSON-RPC response to it. */
export interface UpstreamResponse<T = JsonObject> {
  readonly status: number;
  readonly session: string | null;
  readonly message: T | null;
}

/** Sends one message of ours, and reads its response unless it is a notification. @throws {HttpFault} */
export type SendOwn = (dialect: Dialect, method: string, params: object) => Promise<UpstreamResponse>;

/** Why a handshake failed: the step, and the HTTP status that the server gave it. */
export class HandshakeFault extends HttpFault {
  readonly stage: "initialize" | "initialized";
  readonly status: number;

  constructor(stage: HandshakeFault["stage"], status: number) {
    super(`${stage}_${status}`);
    this.stage = stage;
    this.status = status;
  }
}

/** The newest revision with a handshake: the one that the broker offers. */
export const LEGACY = "2025-11-25";
/** `_meta` of each request of the broker's own in the stateless revision. */
export const META = {
  [META_VERSION]: MODERN,
  [META_CAPABILITIES]: {},
  [META_CLIENT]: IMPLEMENTATION,
};

/** Errors that only a server of the stateless revision knows: HeaderMismatch to UnsupportedProtocolVersion. */
export const MODERN_CODES: readonly number[] = [-32_020, -32_021, -32_022];

/**
 * Asks a server for its era. One of the stateless revision names that revision; one of an older revision answers 400, 404 or
 * 405, 200 with whatever it says to a method that it does not know, or nothing within the time of the probe. 401, 403 and 5xx say nothing about it.
 * @throws {HttpFault} for those
 */
export async function probe(send: SendOwn): Promise<Era> {
  const answer = await send({ era: "modern" }, "server/discover", {}).catch((error: unknown) => {
    // Some older servers leave a request before the handshake without an answer.
    if (error instanceof HttpFault && error.code === "timeout") return null;
    throw error;
  });
  if (answer === null) return "legacy";
  const { status, message } = answer;
  if (status === 200 && namesModern(message?.["result"])) return "modern";
  if (status === 400 && MODERN_CODES.includes(codeOf(message))) return "modern";
  if (![200, 400, 404, 405].includes(status)) throw new HttpFault(`status_${status}`);
  return "legacy";
}

/** A server answers `{}` to every method that it does not know. */
function namesModern(result: JsonValue | undefined): boolean {
  const versions = isObject(result) ? result["supportedVersions"] : undefined;
  return Array.isArray(versions) && versions.includes(MODERN);
}

function codeOf(message: JsonObject | null): number {
  const error = message?.["error"];
  const code = isObject(error) ? error["code"] : undefined;
  return typeof code === "number" ? code : 0;
}

/** Visible ASCII (2025-11-25, Session Management), and not too long for a header. */
const SESSION_ID = /^[!-~]{1,1024}$/;
const OLDER_REVISION = /^202[45]-\d\d-\d\d$/;

/**
 * The handshake of the older revisions.
 * @param end ends the session that a failed handshake leaves behind
 * @param capabilities those of the client for whom the session is
 * @throws {HttpFault}
 */
export async function handshake(
  send: SendOwn,
  end: (dialect: LegacyDialect) => Promise<void>,
  capabilities: object = {},
): Promise<LegacyDialect> {
  const first: LegacyDialect = { era: "legacy", version: null, session: null };
  const params = { protocolVersion: LEGACY, capabilities, clientInfo: IMPLEMENTATION };
  const { status, session, message } = await send(first, "initialize", params);
  if (session !== null && !SESSION_ID.test(session)) throw new HttpFault("initialize_session");
  let dialect: LegacyDialect = { ...first, session };
  try {
    const result = message?.["result"];
    if (status !== 200 || !isObject(result)) throw new HandshakeFault("initialize", status);
    const version = result["protocolVersion"];
    if (typeof version !== "string" || !OLDER_REVISION.test(version)) throw new HttpFault("initialize_version");
    dialect = { ...dialect, version };
    const accepted = await send(dialect, "notifications/initialized", {});
    if (accepted.status >= 300) throw new HandshakeFault("initialized", accepted.status);
    return dialect;
  } catch (error) {
    await end(dialect);
    throw error;
  }
}

/** A legacy server is asked again after this time: it may have been updated. */
const LEGACY_TTL_MS = 10 * 60_000;

/** So long a server that has only the stateless revision is not greeted again. */
const GREET_AGAIN_MS = LEGACY_TTL_MS;

export interface Eras {
  /** The era that is known, or null. */
  known(server: string): Era | null;
  /** Probes a server, once for all callers at the same time. @throws {HttpFault} if its answer says nothing about its era */
  of(server: string, send: SendOwn): Promise<Era>;
  /** Probes with this caller's own credential, in any case. @throws {HttpFault} */
  askAnew(server: string, send: SendOwn): Promise<Era>;
  /** The next caller probes again: a response did not fit the known era. */
  forget(server: string): void;
  /** False while it is known that a server of the stateless revision has no handshake of the older ones. */
  mayGreet(server: string): boolean;
  /** A server of the stateless revision did not answer `initialize`. */
  greetedInVain(server: string): void;
}

/** @param monotonic milliseconds of a clock that never goes back */
export function createEras(monotonic: () => number): Eras {
  const known = new Map<string, { readonly era: Era; readonly at: number }>();
  const flights = new Map<string, Promise<Era>>();
  const inVain = new Map<string, number>();

  async function ask(server: string, send: SendOwn): Promise<Era> {
    const flight = probe(send);
    flights.set(server, flight);
    try {
      const era = await flight;
      known.set(server, { era, at: monotonic() });
      return era;
    } finally {
      if (flights.get(server) === flight) flights.delete(server);
    }
  }

  return {
    known(server) {
      const seen = known.get(server);
      if (seen === undefined) return null;
      return seen.era === "modern" || monotonic() - seen.at < LEGACY_TTL_MS ? seen.era : null;
    },
    async of(server, send) {
      const flight = flights.get(server);
      if (flight === undefined) return ask(server, send);
      const theirs = await flight.catch(() => null);
      // Do not share a failed probe: it may be caused by that caller's credential.
      return theirs ?? ask(server, send);
    },
    askAnew: ask,
    forget: (server) => void known.delete(server),
    mayGreet: (server) => monotonic() - (inVain.get(server) ?? -Infinity) >= GREET_AGAIN_MS,
    greetedInVain: (server) => void inVain.set(server, monotonic()),
  };
}
