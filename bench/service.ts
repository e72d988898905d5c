// The forms of what is measured: a variant that can be started, and how it is asked.
import type { World } from "./world.ts";

/** `fault`: no answer, or one that says nothing. */
export type Verdict = "allow" | "deny" | "fault";

/** Called with the number that was given to `send`. */
export type Answered = (due: number, verdict: Verdict) => void;

/** Connections to one service. Requests are taken in turn from those that it was opened with. */
export interface Connection {
  /** Sends the next request. @returns its stream, for `reset` */
  send(due: number): number;
  /** Leaves a request alone. @returns false where it was answered before */
  reset(stream: number): boolean;
  /** Writes what was sent. */
  flush(): void;
  close(): void;
  /** The bytes of the answer that came last. */
  readonly last: Buffer;
  /** How often the service closed a connection. */
  readonly closed: number;
}

export interface Service {
  /** Whose CPU and memory count. */
  readonly pid: number;
  /** What is asked while it is measured: all are allowed. */
  readonly good: readonly Buffer[];
  /** What it must refuse before it is measured, by what is wrong with it. */
  readonly bad: Readonly<Record<string, Buffer>>;
  end(): Promise<void>;
  open(requests: readonly Buffer[], answered: Answered, connections: number): Promise<Connection>;
  /** True for an answer that shows the work of the row: a wristband, a secret. */
  readonly shows?: (answer: Buffer) => boolean;
  /** It refuses by an answer that shows nothing. */
  readonly isList?: boolean;
}

/** A program with its configuration, as it is measured in one row. */
export interface Variant {
  /** For the command line and the file of results. */
  readonly name: string;
  readonly title: string;
  start(world: World): Promise<Service>;
}
