// Sessions of an HTTP/2 client: mostly requests, among them odd frames, windows, resets and broken bytes.
import { FLAG, FRAME, SETTING } from "../../../src/http2/frame.ts";
import { STATIC_TABLE } from "../../../src/http2/static-table.ts";
import { CHECK_PATH } from "../../../src/envoy/grpc/grpc-server.ts";
import { data, frame, HELLO, reset, settings, window } from "../../fakes/http2-frames.ts";
import type { Random } from "../random.ts";

const PATHS = ["/", "/x", "*", "x", "", "/grpc.health.v1.Health/Check", "/a b", "/\u00e9"];
const NAMES = [
  "x",
  "te",
  "content-length",
  "X",
  "",
  "cookie",
  "connection",
  ":path",
  ":authority",
  "grpc-timeout",
  "content-type",
  "host",
  ":method",
  ":scheme",
  "a b",
];
const VALUES = [
  "",
  "a.example:80",
  "[::1]",
  "u@h",
  "%41",
  "a/b",
  "h?",
  "h#",
  "a;b",
  "GET",
  "1",
  "trailers",
  " a",
  "a\n",
  "application/grpc",
  "y".repeat(200),
  "\u00e9",
];

/** @returns the bytes of a session; a preface and SETTINGS are before nearly all */
export function sessionBytes(random: Random): Buffer {
  const parts: Buffer[] = [
    random.below(100) < 97 ? HELLO : Buffer.concat([HELLO.subarray(0, 24), settings(setting(random))]),
  ];
  let next = 1;
  const count = 1 + random.below(8);
  for (let i = 0; i < count; i += 1) {
    if (random.below(100) < 70) {
      parts.push(...request(random, next));
      next += random.below(100) < 95 ? 2 : random.below(4);
    } else parts.push(oddity(random, next));
  }
  const bytes = Buffer.concat(parts);
  if (random.below(100) < 15) bytes[random.below(bytes.length)] = random.below(256);
  return bytes;
}

function setting(random: Random): readonly [number, number] {
  const id = random.pick([...Object.values(SETTING), 9, 0xff]);
  return [id, random.pick([0, 1, 2, 100, 4096, 16_384, 65_535, 0x7fffffff, 0x80000000])];
}

function someStream(random: Random, next: number): number {
  return random.pick([0, 1, 2, next, next + 2, Math.max(1, next - 2), 0x7fffffff]);
}

function oddity(random: Random, next: number): Buffer {
  const stream = someStream(random, next);
  switch (random.below(8)) {
    case 0:
      return settings(setting(random), ...(random.below(100) < 30 ? [setting(random)] : []));
    case 1:
      return window(stream, random.pick([0, 1, 100, 65_535, 0x7fffffff]));
    case 2:
      return reset(stream, random.below(14));
    case 3:
      return frame({
        type: FRAME.ping,
        flags: random.pick([0, 1, 0xff]),
        stream: random.pick([0, 0, 1]),
        payload: Buffer.alloc(random.pick([8, 8, 7])),
      });
    case 4:
      return frame({
        type: FRAME.priority,
        stream,
        payload: Buffer.from([0, 0, 0, random.below(6), 9]).subarray(0, random.pick([5, 5, 4])),
      });
    case 5:
      return data(stream, "x".repeat(random.below(20)), random.pick([0, 1, 8, 9]));
    case 6:
      return settings(setting(random));
    default:
      return frame({
        type: random.below(12),
        flags: random.pick([0, 1, 4, 5, 8, 0x20, 0xff]),
        stream,
        payload: someBytes(random, random.below(20)),
      });
  }
}

/** A request, sometimes in pieces, padded, with trailers or with a fault. */
function request(random: Random, stream: number): Buffer[] {
  const block = headerBlock(random);
  const body = random.below(100) < 60;
  const parts = headerFrames(random, { stream, block, isLast: !body });
  if (!body) return parts;
  const bodyParts = pieces(random, messageBytes(random));
  for (const piece of bodyParts.slice(0, -1)) parts.push(dataFrame(random, { stream, piece, isLast: false }));
  const last = bodyParts.at(-1) ?? Buffer.alloc(0);
  const hasTrailers = random.below(100) < 10;
  if (hasTrailers || random.below(100) < 97)
    parts.push(dataFrame(random, { stream, piece: last, isLast: !hasTrailers }));
  if (hasTrailers)
    parts.push(...headerFrames(random, { stream, block: fields(random, 1), isLast: random.below(100) < 90 }));
  return parts;
}

/** One gRPC message, mostly: its prefix is sometimes wrong, it is sometimes twice there or cut. */
function messageBytes(random: Random): Buffer {
  const text = someBytes(random, random.below(40));
  const prefix = Buffer.from([0, 0, 0, 0, text.length]);
  const message = Buffer.concat([prefix, text]);
  const odd = random.below(100);
  if (odd < 3) return Buffer.concat([message, message]);
  if (odd < 6) return message.subarray(0, random.below(message.length));
  if (odd < 8) prefix[random.below(5)] = random.below(256);
  return odd < 8 ? Buffer.concat([prefix, text]) : message;
}

/** Cut at up to three places, some of them the same. */
function pieces(random: Random, bytes: Buffer): Buffer[] {
  const cuts = Array.from({ length: random.below(4) }, () => random.below(bytes.length + 1)).toSorted((a, b) => a - b);
  return [0, ...cuts].map((from, i) => bytes.subarray(from, cuts[i] ?? bytes.length));
}

function dataFrame(
  random: Random,
  { stream, piece, isLast }: { stream: number; piece: Buffer; isLast: boolean },
): Buffer {
  const end = isLast ? FLAG.endStream : 0;
  if (random.below(100) < 85) return data(stream, piece, end);
  const padding = random.below(4);
  return data(stream, Buffer.concat([Buffer.from([padding]), piece, Buffer.alloc(padding)]), end | FLAG.padded);
}

function headerFrames(
  random: Random,
  { stream, block, isLast }: { stream: number; block: Buffer; isLast: boolean },
): Buffer[] {
  const end = isLast ? FLAG.endStream : 0;
  if (random.below(100) < 85) return [headersFrame(random, { stream, block, flags: end | FLAG.endHeaders })];
  const cut = random.below(block.length + 1);
  return [
    headersFrame(random, { stream, block: block.subarray(0, cut), flags: end }),
    frame({ type: FRAME.continuation, flags: FLAG.endHeaders, stream, payload: block.subarray(cut) }),
  ];
}

function headersFrame(
  random: Random,
  { stream, block, flags }: { stream: number; block: Buffer; flags: number },
): Buffer {
  const isPadded = random.below(100) < 10;
  const hasPriority = random.below(100) < 10;
  const padding = random.below(9);
  const payload = Buffer.concat([
    Buffer.from(isPadded ? [padding] : []),
    Buffer.from(hasPriority ? [0, 0, 0, random.below(5), 7] : []),
    block,
    Buffer.alloc(isPadded ? padding : 0),
  ]);
  return frame({
    type: FRAME.headers,
    flags: flags | (isPadded ? FLAG.padded : 0) | (hasPriority ? FLAG.priority : 0),
    stream,
    payload,
  });
}

function headerBlock(random: Random): Buffer {
  const base = [
    Buffer.from([0x83, random.pick([0x86, 0x87])]),
    field(random, ":path", random.below(100) < 90 ? CHECK_PATH : random.pick(PATHS)),
    random.below(100) < 95 ? field(random, ":authority", "a.example") : Buffer.alloc(0),
    field(random, "content-type", "application/grpc"),
    random.below(100) < 90 ? field(random, "te", "trailers") : Buffer.alloc(0),
  ];
  if (random.below(100) < 20) base.splice(random.below(base.length + 1), 0, fields(random, 1));
  if (random.below(100) < 3) base.splice(random.below(base.length), 1);
  if (random.below(100) < 5)
    base.unshift(Buffer.from(random.pick([[0x20], [0x3f, 0x10], [0x3f, 0xe1, 0x1f], [0x3f, 0xe2, 0x1f]])));
  if (random.below(100) < 10) base.push(Buffer.from([0x80 | (62 + random.below(5))]));
  const block = Buffer.concat(base);
  if (random.below(100) < 3) block[random.below(block.length)] = random.below(256);
  return block;
}

function fields(random: Random, count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => field(random, random.pick(NAMES), random.pick(VALUES))));
}

/** A literal: with or without indexing, its name by index or in full. */
function field(random: Random, name: string, value: string): Buffer {
  const [first, most] = random.pick([
    [0x40, 63],
    [0, 15],
    [0x10, 15],
  ] as const);
  const index = STATIC_TABLE.findIndex(([known]) => known === name) + 1;
  if (index > 0 && index < most && random.below(100) < 50)
    return Buffer.concat([Buffer.from([first | index]), text(value)]);
  return Buffer.concat([Buffer.from([first]), text(name), text(value)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  const length =
    bytes.length < 127 ? [bytes.length] : [127, ((bytes.length - 127) & 0x7f) | 0x80, (bytes.length - 127) >>> 7];
  return Buffer.concat([Buffer.from(length), bytes]);
}

function someBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}
