// Where each type of frame may stand, and how long it is (RFC 9113 §6). A table.
import { ConnectionFault, ERROR } from "./fault.ts";
import { FRAME, type Frame } from "./frame.ts";

interface Rule {
  /** Stream 0, another, or both. */
  readonly place: "connection" | "stream" | "both";
  readonly bytes?: number;
  readonly leastBytes?: number;
}

const RULES: ReadonlyMap<number, Rule> = new Map<number, Rule>([
  [FRAME.data, { place: "stream" }],
  [FRAME.headers, { place: "stream" }],
  [FRAME.priority, { place: "stream", bytes: 5 }],
  [FRAME.rstStream, { place: "stream", bytes: 4 }],
  [FRAME.settings, { place: "connection" }],
  [FRAME.ping, { place: "connection", bytes: 8 }],
  [FRAME.goAway, { place: "connection", leastBytes: 8 }],
  [FRAME.windowUpdate, { place: "both", bytes: 4 }],
  [FRAME.continuation, { place: "stream" }],
]);

/** @throws {ConnectionFault} Types that the table does not have are passed over, but for a client's PUSH_PROMISE. */
export function checkFrame({ type, stream, start, end }: Frame): void {
  if (type === FRAME.pushPromise) throw new ConnectionFault(ERROR.protocol, "a client pushes nothing");
  const rule = RULES.get(type);
  if (rule === undefined) return;
  const bytes = end - start;
  if ((rule.bytes !== undefined && bytes !== rule.bytes) || bytes < (rule.leastBytes ?? 0)) {
    throw new ConnectionFault(ERROR.frameSize, "a frame of the wrong length");
  }
  if (rule.place !== "both" && (rule.place === "connection") !== (stream === 0)) {
    throw new ConnectionFault(ERROR.protocol, "a frame on the wrong stream");
  }
}
