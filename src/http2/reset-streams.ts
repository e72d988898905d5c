// Numbers of the streams that we have reset: the client may have sent more on them before it knew (RFC 9113 §5.1). Pure.
import { RESET_STREAMS } from "./limits.ts";

export class ResetStreams {
  readonly #ids = new Set<number>();

  add(id: number): void {
    this.#ids.add(id);
    if (this.#ids.size <= RESET_STREAMS) return;
    for (const oldest of this.#ids) {
      this.#ids.delete(oldest);
      return;
    }
  }

  has(id: number): boolean {
    return this.#ids.has(id);
  }
}
