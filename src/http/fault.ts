// Why a request has no response, in a closed set of words. Pure.

/** Faults that the client itself can report. */
export type ClientFaultCode =
  /** The signal's time is over, or no connection came about in its time. */
  | "timeout"
  | "aborted"
  /** No connection: refused, no route, no such name. */
  | "unreachable"
  /** The host is at an address to which no request goes: link-local, or inside where a document must not lead. */
  | "address_refused"
  /** The certificate is not one of the CA's, or not for this host; no common version. */
  | "tls"
  /** The connection ended before the response did, or the server switched to another protocol (101). */
  | "cut_off"
  /** The server's bytes are not HTTP/1.1. */
  | "not_http"
  | "headers_too_large"
  | "too_large"
  /** The body is compressed, though the client did not ask for it. */
  | "encoded"
  /** A path or a header that cannot be sent. */
  | "invalid_request"
  | "failed";

/** Faults that the readers of a response report: the catalogue's client, the Vault's, the broker. */
type ReaderFaultCode =
  | `status_${number}`
  | "malformed"
  | "not_json"
  | "path_changed"
  | `initialize_${number | "version" | "session"}`
  | `initialized_${number}`
  | "discover_refused"
  | "no_sse"
  | "endpoint_refused"
  | "streams_exhausted"
  | "rpc_error"
  | "malformed_answer"
  | "not_an_answer"
  | "malformed_list"
  | "too_many_pages"
  | "cursor_repeats"
  | "no_answer"
  | "held_bytes"
  | "answer_too_large"
  | "capability_missing"
  | "state_unknown"
  | "caller_expired"
  | "left"
  | "cancelled"
  | "shutdown";

export type HttpFaultCode = ClientFaultCode | ReaderFaultCode;

/**
 * Holds a word of ours and a code of Node's, never a header, a body or an address. The message is the more exact of the
 * two, for logs; code branches on `code` alone.
 */
export class HttpFault extends Error {
  readonly code: HttpFaultCode;
  /** Node's code where it says more, as `ECONNREFUSED` or `CERT_HAS_EXPIRED`. */
  readonly systemCode: string | null;

  constructor(code: HttpFaultCode, systemCode: string | null = null) {
    super(systemCode ?? code);
    this.name = "HttpFault";
    this.code = code;
    this.systemCode = systemCode;
  }
}

const NO_CONNECTION = /^(?:ECONNREFUSED|ENOTFOUND|EAI_[A-Z]+|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EADDRNOTAVAIL)$/;
/** OpenSSL's words for a certificate, Node's for a handshake. */
const TLS =
  /^(?:ERR_(?:TLS|SSL)_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|CRL_|HOSTNAME_MISMATCH|INVALID_|PATH_LENGTH_|EPROTO)/;

/** The codes of undici and of Node, in our words; the first that fits. The flag: the code says more than the word. */
const WORDS: readonly (readonly [RegExp, ClientFaultCode, boolean])[] = [
  [/^(?:TimeoutError|UND_ERR_(?:CONNECT|HEADERS|BODY)_TIMEOUT)$/, "timeout", false],
  [/^(?:AbortError|ABORT_ERR|UND_ERR_(?:ABORT|ABORTED|DESTROYED|CLOSED))$/, "aborted", false],
  [/^(?:UND_ERR_SOCKET|ECONNRESET|EPIPE)$/, "cut_off", false],
  [/^(?:HTTPParserError|UND_ERR_RES_CONTENT_LENGTH_MISMATCH)$/, "not_http", false],
  [/^UND_ERR_HEADERS_OVERFLOW$/, "headers_too_large", false],
  [/^UND_ERR_(?:INVALID_ARG|NOT_SUPPORTED|REQ_CONTENT_LENGTH_MISMATCH)$/, "invalid_request", false],
  [NO_CONNECTION, "unreachable", true],
  [TLS, "tls", true],
  [/^[A-Z][A-Z0-9_]{1,63}$/, "failed", true],
];

/** The text of Node's errors can hold addresses and whole certificates; the code says enough. */
export function faultOf(error: unknown): HttpFault {
  if (error instanceof HttpFault) return error;
  if (!(error instanceof Error)) return new HttpFault("failed");
  // An abort of the platform's has a number for a code, and a parser's error none: their names say what they are.
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  const [, word, saysMore] = WORDS.find(([form]) => form.test(code)) ?? [null, "failed", false];
  return new HttpFault(word, saysMore ? code : null);
}
