// Parses messages of servers: short ones at once, long ones in slices, in turn with other calls. Pure but for the turns.
import { readLongUpstreamMessage, readUpstreamMessage, type UpstreamMessage } from "../../mcp/upstream-message.ts";
import type { Pacer } from "./brake.ts";
import { createSlices } from "../../async/slices.ts";

/** Null for what is no message. A promise for a long message only. */
export type ReadMessage = (bytes: Buffer) => UpstreamMessage | null | Promise<UpstreamMessage | null>;

/** Up to this size a message is parsed at once: some milliseconds at the most. */
const SHORT_BYTES = 64 * 1024;
/** Bytes that are parsed of one long message in one turn. */
const SLICE_BYTES = 32 * 1024;

/** @param onSlices receives the number of slices of a long message, for tests */
export function createReadMessage(pacer: Pacer, onSlices: (count: number) => void = () => {}): ReadMessage {
  const turn = () => new Promise<void>(pacer);
  return (bytes) => {
    if (bytes.length <= SHORT_BYTES) return readUpstreamMessage(bytes);
    const slices = createSlices(SLICE_BYTES, turn);
    return readLongUpstreamMessage(bytes, slices.spend).finally(() => onSlices(slices.count));
  };
}
