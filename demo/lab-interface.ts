// What the two labs have in common: the system as processes on this machine, or as containers from images.

export interface OpenLab {
  readonly kind: "processes" | "containers";
  /** What runs, for the report of a test run. */
  readonly about: string;
  /** The public origin. */
  readonly gateway: string;
  readonly issuer: string;
  /** On this machine; edits are live. */
  readonly policyFolder: string;
  /** An access token as this person's client would get it. */
  token(person: string, scope?: string): Promise<string>;
  /** The names of the tools whose calls reached the demo's server, oldest first. */
  reached(): Promise<readonly string[]>;
  /** The audit log so far. */
  audit(): Promise<readonly Record<string, unknown>[]>;
  /** Ends `serve` as a crash does. */
  killServe(): Promise<void>;
  /** Starts it anew; resolves when it is ready. */
  startServe(): Promise<void>;
  /** Ends everything. @throws when something was left behind */
  stop(): Promise<void>;
}

export type LabKind = OpenLab["kind"];

/** The lines of a log that are JSON objects. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
