// The HTTP client of one token endpoint, which honours `Retry-After` (RFC 9110 §10.2.3). I/O.
import { createHttpClient, faultOf, type HttpAnswer } from "../../http/client.ts";
import { retryAfterMs } from "../../http/retry-after.ts";
import { createBreaker } from "../breaker.ts";
import { partsOf } from "../../http/url.ts";

/** One token endpoint, with the pause that it asked for. */
export interface TokenEndpoint {
  /** The URL as configured. */
  readonly url: string;
  /**
   * Returns the response, or the reason for which there is none. Never throws.
   * @param authorization the header of the client's proof; null where it stands in the form
   */
  post(form: string, authorization: string | null, timeoutMs: number): Promise<HttpAnswer | string>;
  close(): void;
}

export interface TokenEndpointOptions {
  /** The path is sent as configured, byte for byte. */
  readonly url: string;
  readonly ca: Buffer | null;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic?: () => number;
}

const MAX_RESPONSE_BYTES = 64 * 1024;
const MAX_PAUSE_MS = 30_000;
/** What proxies say in place of an IdP that is away. Its own 500 may be about one caller's token, and must not stop the others. */
const AWAY: ReadonlySet<number> = new Set([502, 503, 504]);
/** Pause after a 429 without a `Retry-After` that is still to come. */
const DEFAULT_PAUSE_MS = 1_000;

/** Makes the client. It is paused like a Vault while it does not answer; a 429 stops all requests to the endpoint for its `Retry-After`, 30 s at most (threat model: H11). */
export function createTokenEndpoint({
  url,
  ca,
  now = Date.now,
  monotonic = () => performance.now(),
}: TokenEndpointOptions): TokenEndpoint {
  const { origin, path } = partsOf(url);
  const http = createHttpClient({ origin, ca, name: "token endpoint" });
  const breaker = createBreaker(monotonic);
  let pausedUntil = Number.NEGATIVE_INFINITY;

  async function send(form: string, authorization: string | null, timeoutMs: number): Promise<HttpAnswer | string> {
    try {
      const headers = {
        ...(authorization !== null && { authorization }),
        "content-type": "application/x-www-form-urlencoded",
        accept: "application/json",
      };
      const body = Buffer.from(form);
      const signal = AbortSignal.timeout(timeoutMs);
      return await http.fetch({ method: "POST", path, headers, body, signal }, MAX_RESPONSE_BYTES);
    } catch (error) {
      return `no answer of the token endpoint: ${faultOf(error).message}`;
    }
  }

  return {
    url,
    async post(form, authorization, timeoutMs) {
      if (monotonic() < pausedUntil) return "the token endpoint asked us to wait (429)";
      if (!breaker.enter()) return "the token endpoint is not asked, for it did not answer";
      const answer = await send(form, authorization, timeoutMs);
      breaker.leave(typeof answer !== "string" && !AWAY.has(answer.status));
      if (typeof answer !== "string" && answer.status === 429)
        pausedUntil = monotonic() + pauseOf(answer.headers["retry-after"], now());
      return answer;
    },
    close: () => http.close(),
  };
}

/** The pause after a 429, in milliseconds. */
export function pauseOf(retryAfter: string | undefined, now: number): number {
  const asked = retryAfterMs(retryAfter, now) ?? 0;
  return asked > 0 ? Math.min(MAX_PAUSE_MS, asked) : DEFAULT_PAUSE_MS;
}
