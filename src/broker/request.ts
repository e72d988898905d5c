// Reads one HTTP request of a client: its body within bounds, its headers as the readers want them. I/O.
import type { IncomingMessage } from "node:http";
import { pass, refuse, type Refused, type Step } from "../authz/step.ts";
import { createByteCollector } from "../http/byte-collector.ts";
import type { McpHeaders } from "../mcp/operation.ts";
import type { Hold } from "./held-bytes.ts";
import { NO_ROOM } from "./room.ts";

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
