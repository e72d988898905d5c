// The HTTP transport under node-vault: bounded, without redirects, proxies or its environment. I/O.
import { HttpFault, type HttpAnswer, type HttpClient } from "../../http/client.ts";
import type { JsonValue } from "../../json/types.ts";
import { readJson } from "../../json/strict-reader.ts";

/** The options that node-vault gives its transport; `meant` and `limitMs` are ours, passed in its request options. */
export interface TransportOptions {
  readonly method: string;
  /** The URL that node-vault built. */
  readonly uri: string;
  readonly json?: unknown;
  /** The intended path, from the origin on. */
  readonly meant: string;
  readonly limitMs: number;
}

/** The form of a response that node-vault reads. */
export interface TransportResponse {
  readonly statusCode: number;
  readonly body: JsonValue;
  /** Empty: node-vault takes any status for a success if this matches `sys/health`, which names in a path can spell. */
  readonly request: { readonly path: "" };
}

export interface TransportSettings {
  readonly http: HttpClient;
  /** Scheme, host and port. */
  readonly origin: string;
  /** The headers of every request; node-vault's own are ignored. */
  readonly headers: Readonly<Record<string, string>>;
}

const MAX_BYTES = 64 * 1024;
const JSON_TYPE = /^application\/json[\t ]*(?:;|$)/i;

/**
 * Makes the transport. node-vault's own follows redirects with the token, uses proxies, keeps the token in its errors and has
 * no limits. This one sends our headers alone and the intended path, byte for byte.
 * @throws {HttpFault} which holds neither headers nor bodies
 */
export function createTransport({ http, origin, headers }: TransportSettings) {
  return async ({ method, uri, json, meant, limitMs }: TransportOptions): Promise<TransportResponse> => {
    if (uri !== `${origin}${meant}`) throw new HttpFault("path_changed");
    const body = json === undefined ? null : Buffer.from(JSON.stringify(json));
    const answer = await http.fetch(
      {
        method,
        path: meant,
        headers: body === null ? headers : { ...headers, "content-type": "application/json" },
        body,
        signal: AbortSignal.timeout(limitMs),
      },
      MAX_BYTES,
    );
    return { statusCode: answer.status, body: bodyOf(answer), request: { path: "" } };
  };
}

/** Reads the body. A Vault sends strict JSON: anything else is a proxy's page, or bytes that two parsers could read differently. */
function bodyOf({ status, headers, body }: HttpAnswer): JsonValue {
  if (status === 204) return null;
  if (!JSON_TYPE.test(headers["content-type"] ?? "")) throw new HttpFault("not_json");
  const read = readJson(body);
  if (!read.ok) throw new HttpFault("not_json");
  return read.value;
}
