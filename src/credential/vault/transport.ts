import { HttpFault, type HttpAnswer, type HttpClient } from "../../http/client.ts";
import type { JsonValue } from "../../json/types.ts";
import { readJson } from "../../json/strict-reader.ts";

/** What node-vault gives its transport; `meant` and `limitMs` are ours and travel through its request options. */
export interface TransportOptions {
  readonly method: string;
  /** The URL that node-vault put together. */
  readonly uri: string;
  readonly json?: unknown;
  /** The path that we mean, from the origin on. */
  readonly meant: string;
  readonly limitMs: number;
}

/** The form of answer that node-vault reads. */
export interface TransportAnswer {
  readonly statusCode: number;
  readonly body: JsonValue;
  /** node-vault takes any status for a success if this matches `sys/health`, which a user and a host can spell. */
  readonly request: { readonly path: "" };
}

export interface TransportSettings {
  readonly http: HttpClient;
  /** Scheme, host and port. */
  readonly origin: string;
  /** Sent with every request, whatever else node-vault read from its environment. */
  readonly headers: Readonly<Record<string, string>>;
}

const MAX_BYTES = 64 * 1024;
const JSON_TYPE = /^application\/json[\t ]*(?:;|$)/i;

/**
 * node-vault's way to the network: its own follows redirects with the token, asks proxies, keeps the token in its
 * errors and has no limits. Headers are ours alone, and what is sent is the path that we mean, byte for byte.
 * Throws {@link HttpFault} only, which holds neither headers nor bodies.
 */
export function createTransport({ http, origin, headers }: TransportSettings) {
  return async ({ method, uri, json, meant, limitMs }: TransportOptions): Promise<TransportAnswer> => {
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

/** What is not strict JSON is nothing a Vault says: a proxy's page, or bytes that two parsers could read differently. */
function bodyOf({ status, headers, body }: HttpAnswer): JsonValue {
  if (status === 204) return null;
  if (!JSON_TYPE.test(headers["content-type"] ?? "")) throw new HttpFault("not_json");
  const read = readJson(body);
  if (!read.ok) throw new HttpFault("not_json");
  return read.value;
}
