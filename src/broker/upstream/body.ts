// Reads the bodies of servers' responses: bounded in bytes, with back pressure, and no slower than they come. I/O.
import { createByteCollector } from "../../http/byte-collector.ts";
import { faultOf, HttpFault, isEncoded, type HttpResponse } from "../../http/client.ts";
import { createBrake, type Brake } from "./brake.ts";
import { createRoom, type Room, type RoomOptions } from "../room.ts";

/** Room for a response of unknown length, and for unread bytes of a stream. */
export const FIRST_ROOM = 64 * 1024;

/** The media type of a response. A charset other than UTF-8 is not JSON (RFC 8259 §8.1). */
export function mediaOf(response: HttpResponse): "json" | "stream" | "other" {
  const [type = "", ...parameters] = (response.headers["content-type"] ?? "").toLowerCase().split(";");
  const charsets = parameters.map((text) => text.trim()).filter((text) => text.startsWith("charset"));
  if (!charsets.every((text) => /^charset\s*=\s*"?utf-8"?$/.test(text))) return "other";
  if (type.trim() === "application/json") return "json";
  return type.trim() === "text/event-stream" ? "stream" : "other";
}

/**
 * Passes the chunks of a body to `take` until that returns true or the body ends. `take` may pause the response, and must
 * while it has a promise pending. Rejects when the body breaks off before `take` returned true.
 * @returns true if `take` returned true
 */
export function consume(response: HttpResponse, take: (chunk: Buffer) => boolean | Promise<boolean>): Promise<boolean> {
  return new Promise((done, reject) => {
    let taking = Promise.resolve(false);
    const fail = (error: HttpFault) => done(unlessEnough(taking, error));
    const settle = (finish: () => void) => {
      response.off("data", onData).off("end", onEnd).off("close", onClose).off("error", onError);
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
    // The end can come while `take` is pending, though the response is paused.
    const onEnd = () => settle(() => done(taking));
    const onClose = () => settle(() => fail(new HttpFault("cut_off")));
    const onError = (error: unknown) => settle(() => fail(faultOf(error)));
    // The connection may have ended before this call.
    if (response.destroyed) fail(new HttpFault("cut_off"));
    else response.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onError);
  });
}

/** The chunk that `take` is pending on may be the last that was needed. */
async function unlessEnough(taking: Promise<boolean>, error: HttpFault): Promise<boolean> {
  if (await taking) return true;
  throw error;
}

/**
 * The whole body, if it is not longer than `maxBytes`.
 * @param onGrown receives the length after each chunk; may pause the response
 * @throws {HttpFault}
 */
export async function readWhole(
  response: HttpResponse,
  maxBytes: number,
  onGrown: (length: number) => void = () => {},
): Promise<Buffer> {
  const bytes = createByteCollector(maxBytes, Number(response.headers["content-length"] ?? 0));
  try {
    if (isEncoded(response)) throw new HttpFault("encoded");
    await consume(response, (chunk) => {
      bytes.push(chunk);
      onGrown(bytes.length);
      return false;
    });
  } catch (error) {
    response.destroy();
    throw error;
  }
  return bytes.take();
}

/** A collected body, and the room that it takes. */
export interface HeldBody {
  readonly bytes: Buffer;
  readonly room: Room;
}

/** A whole response of at most `maxBytes`, counted as its caller's bytes. @throws {HttpFault} */
export async function readHeld(response: HttpResponse, options: RoomOptions, maxBytes: number): Promise<HeldBody> {
  const announced = response.headers["content-length"];
  const room = createRoom(
    options,
    announced === undefined ? [FIRST_ROOM, maxBytes] : [Math.min(Number(announced), maxBytes)],
  );
  const brake = createBrake(response);
  try {
    await room.begin();
    const bytes = await readWhole(response, maxBytes, (length) => pauseUntilRoom(response, brake, room.need(length)));
    room.settle(bytes.length);
    return { bytes, room };
  } catch (error) {
    response.destroy();
    room.settle(0);
    throw answerTooLarge(room.faultFor(error));
  }
}

/** The fault of an answer to a call, whose limit is its server's. */
export function answerTooLarge(error: unknown): unknown {
  return error instanceof HttpFault && error.code === "too_large" ? new HttpFault("answer_too_large") : error;
}

/** Pauses a response until there is room for it, and destroys it if there is none. */
export function pauseUntilRoom(response: HttpResponse, brake: Brake, room: Promise<void> | null): void {
  if (room === null) return;
  const goOn = brake.hold();
  room.then(goOn, (error: unknown) => response.destroy(faultOf(error)));
}
