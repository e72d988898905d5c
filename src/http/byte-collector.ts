import { HttpFault } from "./fault.ts";

export interface ByteCollector {
  /** @throws {HttpFault} `too_large` */
  push(part: Uint8Array): void;
  readonly length: number;
  /** What was collected; the collector is empty again. */
  take(): Buffer;
}

const FIRST_BYTES = 1024;
const EMPTY = Buffer.alloc(0);

/**
 * Collects bytes of somebody who may send them one by one: they are copied into one buffer that grows twofold, because a
 * list of ten million parts weighs a hundred times what it holds, and each part keeps the buffer that it was cut from.
 */
export function createByteCollector(maxBytes: number): ByteCollector {
  let store = EMPTY;
  let length = 0;
  return {
    push(part) {
      const needed = length + part.length;
      if (needed > maxBytes) throw new HttpFault("too_large");
      if (needed > store.length) {
        const grown = Buffer.allocUnsafe(Math.max(FIRST_BYTES, needed, Math.min(store.length * 2, maxBytes)));
        store.copy(grown, 0, 0, length);
        store = grown;
      }
      store.set(part, length);
      length = needed;
    },
    get length() {
      return length;
    },
    take() {
      const taken = store.subarray(0, length);
      store = EMPTY;
      length = 0;
      return taken;
    },
  };
}
