// A bounded buffer for bodies that come in parts: responses, requests, events, gRPC messages. Pure.
import { HttpFault } from "./fault.ts";

export interface ByteCollector {
  /** @throws {HttpFault} `too_large` */
  push(part: Buffer): void;
  readonly length: number;
  /** Returns the collected bytes; the collector is empty again. */
  take(): Buffer;
}

const FIRST_BYTES = 1024;
const EMPTY: Buffer = Buffer.alloc(0);

/**
 * Copies the parts into one buffer that doubles: a list of ten million one-byte parts weighs a hundred times what it holds,
 * and each part keeps the buffer that it was cut from. A body that comes in one part, as nearly all do, is not copied.
 * @param expectedBytes the announced length: then the buffer need not grow
 */
export function createByteCollector(maxBytes: number, expectedBytes = 0): ByteCollector {
  let store = EMPTY;
  let length = 0;

  function grow(needed: number): void {
    const grown = Buffer.allocUnsafe(
      Math.max(FIRST_BYTES, needed, Math.min(Math.max(store.length * 2, expectedBytes), maxBytes)),
    );
    store.copy(grown, 0, 0, length);
    store = grown;
  }

  return {
    push(part) {
      const needed = length + part.length;
      if (needed > maxBytes) throw new HttpFault("too_large");
      if (length === 0) store = part;
      else {
        // A full store may be the caller's own part: it is copied before anything is written behind it.
        if (needed > store.length) grow(needed);
        store.set(part, length);
      }
      length = needed;
    },
    get length() {
      return length;
    },
    take() {
      const taken = store.length === length ? store : store.subarray(0, length);
      store = EMPTY;
      length = 0;
      return taken;
    },
  };
}
