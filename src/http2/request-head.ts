// The fields of one request or of its trailers, held to the rules for messages (RFC 9113 §8.2 and §8.3). Pure.
import { FIELD_OVERHEAD, type Field } from "./hpack-decoder.ts";

/** What a gRPC server reads of a request. Other fields are held to the rules and dropped. */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly contentType: string;
  readonly grpcTimeout: string | undefined;
  /** Bytes, where the request says how long its body is. */
  readonly contentLength: number | null;
}

interface Pseudo {
  method: string | null;
  scheme: string | null;
  authority: string | null;
  path: string | null;
}

/** SETTINGS_MAX_HEADER_LIST_SIZE: bytes of all fields of a request, each with 32 more. */
export const HEADER_LIST_BYTES = 65_536;

const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** No NUL, CR or LF, and no blank at either end. */
// eslint-disable-next-line no-control-regex -- these are the characters that the rule is about
const BAD_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;
/** Fields of a connection have no place in HTTP/2 (RFC 9113 §8.2.2). */
const CONNECTION_FIELDS = new Set(["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"]);
const PSEUDO_FIELDS: ReadonlyMap<string, keyof Pseudo> = new Map([
  [":method", "method"],
  [":scheme", "scheme"],
  [":authority", "authority"],
  [":path", "path"],
] as const);
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** No blank and no control character (RFC 3986 §3.3); beyond ASCII, as nghttp2 takes them. */
const PATH = /^\/[!-~\u0080-\u00ff]*$/;
/** An authority or Host without a user (RFC 9113 §8.3.1, RFC 9110 §7.2). */
const AUTHORITY = /^[!$-.0-;=A-Z[\]_a-z~]+$/;
const DIGITS = /^[0-9]{1,15}$/;

/** Takes the fields of one block in their order. */
export class HeadReader {
  /** The first rule that a field breaks, or null. */
  #malformed: string | null = null;
  #bytes = 0;
  #isRegular = false;
  readonly #pseudo: Pseudo = { method: null, scheme: null, authority: null, path: null };
  #hasPseudo = false;
  #host: string | null = null;
  #contentType: string | null = null;
  #contentLength: string | null = null;
  #grpcTimeout: string | undefined;

  /** An arrow, so that it can be handed to the decoder as it is. */
  readonly add = (field: Field): void => {
    this.#bytes += field.name.length + field.value.length + FIELD_OVERHEAD;
    // Beyond the limit, or after a fault, the decoder goes on for its table's sake; nothing is kept.
    if (this.#malformed !== null) return;
    if (this.#bytes > HEADER_LIST_BYTES) this.#malformed = "more than SETTINGS_MAX_HEADER_LIST_SIZE";
    else this.#malformed = field.name.startsWith(":") ? this.#addPseudo(field) : this.#addRegular(field);
  };

  /** The request, or the rule that it breaks. */
  request(): RequestHead | string {
    if (this.#malformed !== null) return this.#malformed;
    const { method, path } = this.#pseudo;
    if (method === null || !METHOD.test(method)) return "no :method";
    if (!hasItsFields(this.#pseudo, this.#host !== null)) return "not the pseudo-header fields of its method";
    const length = this.#contentLength;
    if (length !== null && !DIGITS.test(length)) return "content-length is no number";
    return {
      method,
      path: path ?? "",
      contentType: this.#contentType ?? "",
      grpcTimeout: this.#grpcTimeout,
      contentLength: length === null ? null : Number(length),
    };
  }

  /** The rule that these trailers break, or null (RFC 9113 §8.1, RFC 9110 §6.5.1). */
  trailers(): string | null {
    if (this.#malformed !== null) return this.#malformed;
    if (this.#hasPseudo) return "a pseudo-header field in trailers";
    return this.#host === null && this.#contentLength === null ? null : "a field in trailers that none have";
  }

  #addPseudo({ name, value }: Field): string | null {
    if (this.#isRegular) return "a pseudo-header field behind others";
    this.#hasPseudo = true;
    const key = PSEUDO_FIELDS.get(name);
    if (key === undefined) return "an unknown pseudo-header field";
    if (this.#pseudo[key] !== null) return "a pseudo-header field twice";
    if (BAD_VALUE.test(value)) return "a value with a control character or a blank at its end";
    if (key === "authority" && !AUTHORITY.test(value)) return "an authority with a character that none has";
    this.#pseudo[key] = value;
    return null;
  }

  #addRegular({ name, value }: Field): string | null {
    this.#isRegular = true;
    if (!NAME.test(name)) return "a name that is no lower-case token";
    if (BAD_VALUE.test(value)) return "a value with a control character or a blank at its end";
    if (CONNECTION_FIELDS.has(name)) return "a field of a connection";
    if (name === "host") return this.#addHost(value);
    if (name === "te") return value.toLowerCase() === "trailers" ? null : "te is not trailers";
    if (name === "content-length") return this.#once("length", this.#contentLength, value);
    if (name === "content-type") return this.#once("type", this.#contentType, value);
    if (name === "grpc-timeout") {
      // A second one has no reading: what remains is refused by the reader of timeouts.
      this.#grpcTimeout = this.#grpcTimeout === undefined ? value : `${this.#grpcTimeout},${value}`;
    }
    return null;
  }

  #addHost(value: string): string | null {
    if (this.#host !== null || !AUTHORITY.test(value)) return "host twice, or no host";
    this.#host = value;
    return null;
  }

  #once(which: "length" | "type", known: string | null, value: string): string | null {
    if (known !== null) return `content-${which} twice`;
    if (which === "length") this.#contentLength = value;
    else this.#contentType = value;
    return null;
  }
}

/** CONNECT has an authority, no path and no scheme (RFC 9113 §8.5); other methods have all, Host may stand for the authority (§8.3.1). */
function hasItsFields({ method, path, scheme, authority }: Pseudo, hasHost: boolean): boolean {
  if (method === "CONNECT") return path === null && scheme === null && authority !== null;
  if (scheme === null || path === null || (authority === null && !hasHost)) return false;
  return PATH.test(path) || (path === "*" && method === "OPTIONS");
}
