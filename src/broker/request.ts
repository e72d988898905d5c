// Reads one HTTP request of a client: its wristband, its body within bounds, its headers as the readers want them. I/O.
import type { IncomingMessage } from "node:http";
import { pass, refuse, type Refused, type Step } from "../authz/step.ts";
import { createByteCollector } from "../http/byte-collector.ts";
import type { McpHeaders } from "../mcp/operation.ts";
import { callerKey, type WristbandClaims } from "../wristband/claims.ts";
import type { Verification } from "../wristband/verify.ts";
import type { HeldBytes, Hold } from "./held-bytes.ts";
import { NO_ROOM } from "./room.ts";
import type { ResponseSink } from "./sessions/message-response.ts";

export function headersOf(request: IncomingMessage): McpHeaders {
  return {
    get: (name: string) => request.headersDistinct[name]?.join(","),
    repeated: (name: string) => (request.headersDistinct[name]?.length ?? 0) > 1,
  };
}

/** Refuses a body that is too large, is cut off, or for which its caller has no room left; the rest of it is not read. */
export function readBody(
  request: IncomingMessage,
  { hold, maxBytes }: { readonly hold: Hold; readonly maxBytes: number },
): Promise<Step<Buffer>> {
  const bytes = createByteCollector(maxBytes);
  const tooLarge: Refused = { ...refuse("body_too_large"), limitBytes: maxBytes };
  return new Promise((done) => {
    if (Number(request.headers["content-length"] ?? 0) > maxBytes) {
      done(tooLarge);
      return;
    }
    request.on("data", (chunk: Buffer) => {
      const isTooLarge = bytes.length + chunk.length > maxBytes;
      if (!isTooLarge && hold.take(chunk.length)) {
        bytes.push(chunk);
        return;
      }
      request.pause();
      done(isTooLarge ? tooLarge : refuse("rate_limited", NO_ROOM));
    });
    request.on("end", () => done(pass(bytes.take())));
    request.on("error", () => done(refuse("body_too_large")));
  });
}

/** The account of this request's bytes, until its response is closed. */
export function holdFor(held: HeldBytes, wristband: WristbandClaims, response: ResponseSink): Hold {
  const hold = held.open(callerKey(wristband));
  if (response.closed) hold.release();
  else response.once("close", () => hold.release());
  return hold;
}

/** Where wristbands are, and what verifies them. */
export interface WristbandSource {
  readonly wristbandHeader: string;
  /** Verifies a wristband; may wait for a new key. */
  readonly verify: (jws: string) => Promise<Verification>;
}

/** A request, and whether its client may send any. */
export interface Sender {
  readonly request: IncomingMessage;
  /** False for a client whose certificate has none of the names. */
  readonly isExpected: boolean;
}

/** The verified wristband of a request. */
export async function wristbandOf(
  options: WristbandSource,
  { request, isExpected }: Sender,
): Promise<Step<WristbandClaims>> {
  if (!isExpected) return refuse("wristband_invalid", "client certificate");
  const copies = request.headersDistinct[options.wristbandHeader];
  const [jws] = copies ?? [];
  if (jws === undefined || copies?.length !== 1) return refuse("wristband_invalid", "none, or several");
  const verified = await options.verify(jws);
  if (verified.ok) return verified;
  return refuse(verified.fault === "catalog" ? "catalog_unavailable" : "wristband_invalid", verified.fault);
}
