/**
 * Why there is no answer. `code` is a word of ours or Node's error code: never a header, a body or an address, so it may
 * be logged.
 */
export class HttpFault extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.name = "HttpFault";
    this.code = code;
  }
}
