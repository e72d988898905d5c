// The error of a reader of the configuration's files. The key is a field: no code parses it back out of a message. Pure.

/** A key of the configuration whose value, or the file that it names, cannot be used. The message is key and reason. */
export class ConfigProblem extends Error {
  /** As `tls.authz.certFile`. */
  readonly key: string;
  /** The message without the key. */
  readonly reason: string;

  constructor(key: string, reason: string, options?: ErrorOptions) {
    super(`${key}: ${reason}`, options);
    this.name = "ConfigProblem";
    this.key = key;
    this.reason = reason;
  }
}
