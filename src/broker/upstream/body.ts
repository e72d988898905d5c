import type { IncomingMessage } from "node:http";
import { createByteCollector } from "../../http/byte-collector.ts";
import { faultOf, HttpFault } from "../../http/client.ts";
import { createBrake, type Brake } from "./brake.ts";
import { createRoom, type Room, type RoomOptions } from "../room.ts";

/** The largest answer, and the largest event of a stream. */
export const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** Room for an answer of unknown length, and for what of a stream was not read yet. */
export const FIRST_ROOM = 64 * 1024;

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
 * the answer, and must for as long as it does not know yet. Rejects when the body breaks off before `take` had enough.
 * @returns true if `take` had enough
 */
export function consume(
  answer: IncomingMessage,
  take: (chunk: Buffer) => boolean | Promise<boolean>,
): Promise<boolean> {
  return new Promise((done, reject) => {
    let taking = Promise.resolve(false);
    const fail = (error: HttpFault) => done(unlessEnough(taking, error));
    const settle = (finish: () => void) => {
      answer.off("data", onData).off("end", onEnd).off("close", onClose).off("error", onError);
      answer.on("error", () => {}); // what comes after this is nobody's business
      finish();
    };
    const onData = (chunk: Buffer) => {
      try {
        const isEnough = take(chunk);
        if (isEnough === true) settle(() => done(true));
        if (typeof isEnough === "boolean") return;
        taking = isEnough;
        isEnough.then(
          (isTrue) => void (isTrue && settle(() => done(true))),
          (error: unknown) => settle(() => reject(faultOf(error))),
        );
      } catch (error) {
        settle(() => fail(faultOf(error)));
      }
    };
    // The end can come while `take` is busy with what came before it, though the answer is paused.
    const onEnd = () => settle(() => (answer.complete ? done(taking) : fail(new HttpFault("cut_off"))));
    const onClose = () => settle(() => fail(new HttpFault("cut_off")));
    const onError = (error: unknown) => settle(() => fail(faultOf(error)));
    // Whoever waited before the first byte may have missed the end of the connection.
    if (answer.destroyed) fail(new HttpFault("cut_off"));
    answer.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onError);
  });
}

/** What `take` is busy with may be all that was needed. */
async function unlessEnough(taking: Promise<boolean>, error: HttpFault): Promise<boolean> {
  if (await taking) return true;
  throw error;
}

/**
 * The whole body, if it is not longer than `maxBytes`.
 * @param onGrown told of its length after each chunk; may pause the answer
 * @throws {HttpFault}
 */
export async function readWhole(
  answer: IncomingMessage,
  maxBytes: number,
  onGrown: (length: number) => void = () => {},
): Promise<Buffer> {
  const bytes = createByteCollector(maxBytes, Number(answer.headers["content-length"] ?? 0));
  try {
    if (isEncoded(answer)) throw new HttpFault("encoded");
    await consume(answer, (chunk) => {
      bytes.push(chunk);
      onGrown(bytes.length);
      return false;
    });
  } catch (error) {
    answer.destroy();
    throw error;
  }
  return bytes.take();
}

/** A body that was collected, and the room that it takes. */
export interface HeldBody {
  readonly bytes: Buffer;
  readonly room: Room;
}

/** A whole answer of at most {@link MAX_ANSWER_BYTES}, collected in room of its caller's. @throws {HttpFault} */
export async function readHeld(answer: IncomingMessage, options: RoomOptions): Promise<HeldBody> {
  const announced = answer.headers["content-length"];
  const room = createRoom(
    options,
    announced === undefined ? [FIRST_ROOM, MAX_ANSWER_BYTES] : [Math.min(Number(announced), MAX_ANSWER_BYTES)],
  );
  const brake = createBrake(answer);
  try {
    await room.begin();
    const bytes = await readWhole(answer, MAX_ANSWER_BYTES, (length) => holdUp(answer, brake, room.need(length)));
    room.settle(bytes.length);
    return { bytes, room };
  } catch (error) {
    answer.destroy();
    room.settle(0);
    throw room.faultFor(error);
  }
}

/** Pauses an answer until there is room for it, and ends it if there is none. */
export function holdUp(answer: IncomingMessage, brake: Brake, room: Promise<void> | null): void {
  if (room === null) return;
  const goOn = brake.hold();
  room.then(goOn, (error: unknown) => answer.destroy(faultOf(error)));
}

/** Ends our interest in an answer: what little is left is read, so that its connection serves again; else it is closed. */
export function drainOrClose(answer: IncomingMessage): void {
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
