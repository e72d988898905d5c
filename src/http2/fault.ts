// Error codes of HTTP/2, and the two kinds of fault: of a connection, and of one stream. Pure.

/** Error codes (RFC 9113 §7). */
export const ERROR = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  enhanceYourCalm: 11,
} as const;

export type ErrorCode = (typeof ERROR)[keyof typeof ERROR];

/** Ends the connection with GOAWAY (RFC 9113 §5.4.1). */
export class ConnectionFault extends Error {
  readonly code: ErrorCode;

  /** @param message names the rule; it is for tests and never leaves the process */
  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Ends one stream with RST_STREAM (RFC 9113 §5.4.2). */
export class StreamFault extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
