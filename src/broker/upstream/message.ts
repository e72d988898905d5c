// Reads messages of servers: short ones at once, long ones in slices, in turn with all others.
import { readLongUpstreamMessage, readUpstreamMessage, type UpstreamMessage } from "../../mcp/upstream-message.ts";
import type { Pacer } from "./brake.ts";
import { createSlices } from "../../async/slices.ts";

/** A promise for a long one only. */
export type ReadMessage = (bytes: Buffer) => UpstreamMessage | null | Promise<UpstreamMessage | null>;

/** Read at once: some milliseconds at the most. */
const SHORT_BYTES = 64 * 1024;
/** Many calls may have long answers at the same time, and each turn has slices of some. */
const SLICE_BYTES = 32 * 1024;

/** @param onSlices told how many slices a long message took: what a test can count */
export function createReadMessage(pacer: Pacer, onSlices: (count: number) => void = () => {}): ReadMessage {
  const turn = () => new Promise<void>(pacer);
  return (bytes) => {
    if (bytes.length <= SHORT_BYTES) return readUpstreamMessage(bytes);
    const slices = createSlices(SLICE_BYTES, turn);
    return readLongUpstreamMessage(bytes, slices.spend).finally(() => onSlices(slices.count));
  };
}
