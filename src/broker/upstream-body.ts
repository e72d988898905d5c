import type { IncomingMessage } from "node:http";
import { createByteCollector } from "../http/byte-collector.ts";
import { faultOf, HttpFault } from "../http/client.ts";

/** The largest answer, and the largest event of a stream. */
export const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

const LINGER_MS = 1000;
const MAX_LEFTOVER_BYTES = 64 * 1024;

/** What the body of an answer is. A charset other than UTF-8 is not JSON (RFC 8259 §8.1). */
export function mediaOf(answer: IncomingMessage): "json" | "stream" | "other" {
  const [type = "", ...parameters] = (answer.headers["content-type"] ?? "").toLowerCase().split(";");
  const charsets = parameters.map((text) => text.trim()).filter((text) => text.startsWith("charset"));
  if (!charsets.every((text) => /^charset\s*=\s*"?utf-8"?$/.test(text))) return "other";
  if (type.trim() === "application/json") return "json";
  return type.trim() === "text/event-stream" ? "stream" : "other";
}

/** We never ask for an encoding, and decode none: a small body can become a large one. */
export function isEncoded(answer: IncomingMessage): boolean {
  const encoding = answer.headers["content-encoding"];
  return encoding !== undefined && encoding !== "identity";
}

/**
 * Hands over the chunks of a body as they come, until `take` says that it has enough or the body ends. `take` may pause
 * the answer. Rejects when the body breaks off.
 * @returns true if `take` had enough
 */
export function consume(answer: IncomingMessage, take: (chunk: Buffer) => boolean): Promise<boolean> {
  return new Promise((done, fail) => {
    const settle = (finish: () => void) => {
      answer.off("data", onData).off("end", onEnd).off("close", onClose).off("error", onError);
      answer.on("error", () => {}); // what comes after this is nobody's business
      finish();
    };
    const onData = (chunk: Buffer) => {
      try {
        if (take(chunk)) settle(() => done(true));
      } catch (error) {
        settle(() => fail(faultOf(error)));
      }
    };
    const onEnd = () => settle(() => (answer.complete ? done(false) : fail(new HttpFault("cut_off"))));
    const onClose = () => settle(() => fail(new HttpFault("cut_off")));
    const onError = (error: unknown) => settle(() => fail(faultOf(error)));
    answer.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onError);
  });
}

/** The whole body, if it is not longer than `maxBytes`. @throws {HttpFault} */
export async function readWhole(answer: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const bytes = createByteCollector(maxBytes);
  try {
    if (isEncoded(answer)) throw new HttpFault("encoded");
    await consume(answer, (chunk) => {
      bytes.push(chunk);
      return false;
    });
  } catch (error) {
    answer.destroy();
    throw error;
  }
  return bytes.take();
}

/** Ends our interest in an answer: what little is left is read, so that its connection serves again; else it is closed. */
export function letGo(answer: IncomingMessage): void {
  if (answer.closed) return;
  let left = MAX_LEFTOVER_BYTES;
  const timer = setTimeout(() => answer.destroy(), LINGER_MS);
  timer.unref();
  answer.on("error", () => {});
  answer.on("close", () => clearTimeout(timer));
  answer.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) answer.destroy();
  });
  answer.resume();
}
