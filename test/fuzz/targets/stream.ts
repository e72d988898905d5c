// The event stream: the same events however the bytes are cut, never more than the limit, and our own events read back.
import { createEventParser, eventOf, type StreamEvent } from "../../../src/broker/upstream/event-stream.ts";
import { HttpFault } from "../../../src/http/fault.ts";
import { createRandom } from "../random.ts";
import { must, type Target } from "./target.ts";

const MAX_BYTES = 4096;

export const stream: Target = {
  seeds: [
    "aadata: a\n\nevent: x\ndata:b\r\ndata: c\r\r: comment\nid: 1\nretry: 5\n\ndata\n\n",
    Buffer.from("\u0001\u0002\ufeffdata: é\r\n\r\ndata: x"),
    "zzevent:message\ndata: {}\n\n",
    `aa:${"x".repeat(MAX_BYTES)}\ndata: a\n\n`,
  ],
  tokens: [
    "\n",
    "\r",
    "\r\n",
    "data:",
    "data: ",
    "event:",
    ":",
    " ",
    "\ufeff",
    "id:",
    "data",
    "\u0000",
    "x".repeat(1000),
  ],
  run(bytes) {
    const text = bytes.subarray(2);
    const whole = eventsOf([text]);
    for (const parts of cuts(bytes, text)) {
      const cut = eventsOf(parts);
      must((cut === null) === (whole === null), "too large for one way to cut, and not for another");
      if (cut !== null && whole !== null) must(same(cut, whole), "other events when cut otherwise");
    }
    for (const { data, type } of whole ?? []) must(data.length <= MAX_BYTES && type.length <= 64, "beyond the limit");
    ownEvent(text);
  },
};

/** Null for what is too large. */
function eventsOf(parts: readonly Buffer[]): StreamEvent[] | null {
  const parser = createEventParser(MAX_BYTES);
  const events: StreamEvent[] = [];
  try {
    for (const part of parts) for (const event of parser.push(Buffer.from(part))) events.push(copied(event));
    for (const event of parser.end()) events.push(copied(event));
    return events;
  } catch (error) {
    if (error instanceof HttpFault && error.message === "too_large") return null;
    throw error;
  }
}

const copied = ({ type, data, id }: StreamEvent): StreamEvent => ({ type, data: Buffer.from(data), id });

function* cuts(bytes: Buffer, text: Buffer): Iterable<Buffer[]> {
  if (text.length <= 300) yield Array.from(text, (_, i) => text.subarray(i, i + 1));
  const random = createRandom((bytes[0] ?? 0) * 256 + (bytes[1] ?? 0));
  const parts: Buffer[] = [];
  for (let at = 0; at < text.length;) {
    const end = at + random.below(random.oneIn(3) ? 200 : 5);
    parts.push(text.subarray(at, end));
    at = end;
  }
  yield parts;
}

function same(a: readonly StreamEvent[], b: readonly StreamEvent[]): boolean {
  return a.length === b.length && a.every(({ type, data }, i) => type === b[i]?.type && data.equals(b[i].data));
}

function ownEvent(json: Buffer): void {
  const read = createEventParser(1 << 20).push(Buffer.concat(eventOf([json])));
  const oneLine = Buffer.from(json.toString("latin1").replaceAll(/[\r\n]/g, " "), "latin1");
  must(
    oneLine.length === 0 ? read.length === 0 : read.length === 1 && read[0]?.data.equals(oneLine) === true,
    "our own event",
  );
}
