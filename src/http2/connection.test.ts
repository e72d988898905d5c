// One connection, frame by frame: what RFC 9113 asks of a server, each rule by a session of bytes.
import { describe, expect, it, vi } from "vitest";
import { data, frame, headers, HELLO, lines, POST, reset, settings, window } from "../../test/fakes/http2-frames.ts";
import { Connection } from "./connection.ts";
import { FLAG, FRAME, PREFACE } from "./frame.ts";
import { HeldBytes } from "./held-bytes.ts";
import { headerBlock } from "./hpack-literal.ts";
import type { Stream } from "./stream.ts";

const head = headerBlock([[":status", "200"]]);
const trailers = headerBlock([["grpc-status", "0"]]);
const GREETING = ["settings", "window 0 16711681"];
const WELCOME = [...GREETING, "settings ack"];
const WHOLE = FLAG.endHeaders | FLAG.endStream;

interface Options {
  readonly message?: string;
  /** Streams stay open. */
  readonly isHolding?: boolean;
  readonly maxBodyBytes?: number;
  readonly held?: HeldBytes;
}

function session({
  message = "hello",
  isHolding = false,
  maxBodyBytes = 100_000,
  held = new HeldBytes(),
}: Options = {}) {
  const written: Buffer[] = [];
  const bodies: (string | null)[] = [];
  const streams: Stream[] = [];
  const events: string[] = [];
  let now = 0;
  const connection = new Connection({
    write: (bytes) => written.push(bytes),
    end: () => events.push("end"),
    now: () => now,
    maxBodyBytes,
    held,
    onRequest: (stream) => {
      streams.push(stream);
      stream.listener = {
        onBody: (body) => {
          bodies.push(body === null ? null : body.toString());
          if (!isHolding) connection.respond(stream, { head, message: Buffer.from(message), trailers });
        },
        onGone: () => events.push(`gone ${stream.id}`),
      };
    },
  });
  return {
    connection,
    written,
    bodies,
    streams,
    events,
    wait: (ms: number) => (now += ms),
    /** @returns what the server wrote since the last time */
    send: (...parts: Buffer[]) => {
      connection.receive(Buffer.concat(parts));
      return lines(Buffer.concat(written.splice(0)));
    },
  };
}

/** What comes after the greeting. */
const answer = (...parts: Buffer[]) =>
  session()
    .send(HELLO, ...parts)
    .slice(WELCOME.length);

describe("requests", () => {
  it("a request with a body gets header fields, a message and trailers", () => {
    const { send, bodies } = session();
    expect(send(HELLO, headers(1), data(1, "body"))).toEqual([...WELCOME, "headers 1", "data 1 5", "headers 1 end"]);
    expect(bodies).toEqual(["body"]);
  });

  it.each<[string, Buffer[]]>([
    ["in one frame of header fields", [headers(1, POST, WHOLE)]],
    ["with trailers", [headers(1), data(1, "", 0), headers(1, [["a", "b"]], WHOLE)]],
    [
      "padded",
      [
        frame({
          type: FRAME.headers,
          flags: FLAG.endHeaders | FLAG.padded,
          stream: 1,
          payload: Buffer.concat([Buffer.from([2]), headerBlock(POST), Buffer.alloc(2)]),
        }),
        data(1, Buffer.from([3, 0, 0, 0]), FLAG.endStream | FLAG.padded),
      ],
    ],
    [
      "with a priority",
      [
        frame({
          type: FRAME.headers,
          flags: WHOLE | FLAG.priority,
          stream: 1,
          payload: Buffer.concat([Buffer.from([0, 0, 0, 3, 5]), headerBlock(POST)]),
        }),
      ],
    ],
    [
      "with an unknown frame in between",
      [headers(1), frame({ type: 0xfa, flags: 0xff, stream: 1, payload: Buffer.from("x") }), data(1)],
    ],
    ["whose content-length is right", [headers(1, [...POST, ["content-length", "0"]]), data(1)]],
  ])("without bytes in it: %s", (_, parts) => {
    const { send, bodies } = session();
    expect(send(HELLO, ...parts)).toEqual([...WELCOME, "headers 1", "data 1 5", "headers 1 end"]);
    expect(bodies).toEqual([""]);
  });

  it("a header block in many pieces", () => {
    const block = headerBlock(POST);
    const pieces = [...block].map((byte, index) =>
      frame({
        type: index === 0 ? FRAME.headers : FRAME.continuation,
        flags: (index === 0 ? FLAG.endStream : 0) | (index === block.length - 1 ? FLAG.endHeaders : 0),
        stream: 1,
        payload: Buffer.from([byte]),
      }),
    );
    expect(pieces.length).toBeGreaterThan(10);
    expect(answer(...pieces)).toEqual(["headers 1", "data 1 5", "headers 1 end"]);
  });

  it("a body beyond the limit is null, and what follows is passed over", () => {
    const { send, bodies } = session({ maxBodyBytes: 10 });
    const sent = send(HELLO, headers(1), data(1, "12345678", 0), data(1, "90123", 0), data(1, "more", 0));
    expect(sent.slice(WELCOME.length)).toEqual(["headers 1", "data 1 5", "headers 1 end", "rst 1 0"]);
    expect(bodies).toEqual([null]);
  });

  it("an answer before the end of the request stops the client", () => {
    const { connection, send, streams } = session({ isHolding: true });
    send(HELLO, headers(1));
    connection.respondHead(streams[0] as Stream, head);
    expect(send()).toEqual(["headers 1 end", "rst 1 0"]);
    expect(send(data(1, "on its way", 0), headers(1, [["late", "1"]], WHOLE))).toEqual(["rst 1 5"]);
  });

  it("a client that resets is gone, once", () => {
    const { send, events } = session({ isHolding: true });
    send(HELLO, headers(1), headers(3), reset(1), reset(1));
    expect(events).toEqual(["gone 1"]);
  });
});

describe("faults of one stream", () => {
  const REFUSED = ["rst 1 1"];
  it.each<[string, readonly (readonly [string, string])[]]>([
    ["a name in upper case", [...POST, ["X-A", "1"]]],
    ["a name with a blank", [...POST, ["x a", "1"]]],
    ["an empty name", [...POST, ["", "1"]]],
    ["a line break in a value", [...POST, ["x", "1\r\nb: 2"]]],
    ["NUL in a value", [...POST, ["x", "\0"]]],
    ["a blank before a value", [...POST, ["x", " 1"]]],
    ["no :method", POST.slice(1)],
    ["no :scheme", POST.filter(([name]) => name !== ":scheme")],
    ["no :path", POST.filter(([name]) => name !== ":path")],
    ["an empty :path", POST.map(([name, value]) => [name, name === ":path" ? "" : value])],
    [":method twice", [...POST, [":method", "POST"]]],
    ["a pseudo-header field behind others", [["x", "1"], ...POST]],
    ["an unknown pseudo-header field", [...POST, [":protocol", "websocket"]]],
    [":status of a client", [...POST, [":status", "200"]]],
    ["connection", [...POST, ["connection", "close"]]],
    ["transfer-encoding", [...POST, ["transfer-encoding", "chunked"]]],
    ["te that is not trailers", [...POST, ["te", "gzip"]]],
    ["content-length that is no number", [...POST, ["content-length", "-1"]]],
    ["two content-lengths", [...POST, ["content-length", "1"], ["content-length", "2"]]],
    ["content-length twice", [...POST, ["content-length", "0"], ["content-length", "0"]]],
    ["neither :authority nor host", POST.filter(([name]) => name !== ":authority")],
    ["an empty :authority", POST.map(([name, value]) => [name, name === ":authority" ? "" : value])],
    ["a user in :authority", POST.map(([name, value]) => [name, name === ":authority" ? "u@a" : value])],
    ["a slash in :authority", POST.map(([name, value]) => [name, name === ":authority" ? "a/b" : value])],
    ["host twice", [...POST, ["host", "a"], ["host", "a"]]],
    ["an empty host", [...POST, ["host", ""]]],
    ["a :path without its slash", POST.map(([name, value]) => [name, name === ":path" ? "a" : value])],
    ["a blank in :path", POST.map(([name, value]) => [name, name === ":path" ? "/a b" : value])],
    [":path * of another method than OPTIONS", POST.map(([name, value]) => [name, name === ":path" ? "*" : value])],
    ["two content-types", [...POST, ["content-type", "a"], ["content-type", "b"]]],
  ])("%s", (_, fields) => {
    expect(answer(headers(1, fields, WHOLE))).toEqual(REFUSED);
  });

  it.each<[string, Buffer[], string[]]>([
    [
      "more DATA than content-length says",
      [headers(1, [...POST, ["content-length", "2"]]), data(1, "abc", 0)],
      REFUSED,
    ],
    ["less DATA than content-length says", [headers(1, [...POST, ["content-length", "2"]]), data(1, "a")], REFUSED],
    ["trailers without END_STREAM", [headers(1), headers(1, [["a", "b"]], FLAG.endHeaders)], REFUSED],
    ["a pseudo-header field in trailers", [headers(1), headers(1, POST, WHOLE)], REFUSED],
    ["content-length in trailers", [headers(1), headers(1, [["content-length", "0"]], WHOLE)], REFUSED],
    ["host in trailers", [headers(1), headers(1, [["host", "a"]], WHOLE)], REFUSED],
    ["a window update of 0", [headers(1), window(1, 0)], REFUSED],
    ["a window too far", [headers(1), window(1, 0x7fffffff)], ["rst 1 3"]],
    [
      "a stream that depends on itself",
      [headers(1), frame({ type: FRAME.priority, stream: 1, payload: Buffer.from([0, 0, 0, 1, 0]) })],
      REFUSED,
    ],
  ])("%s", (_, parts, expected) => {
    expect(answer(...parts)).toEqual(expected);
    expect(answer(...parts, headers(3), data(3)), "others go on").toContain("headers 3 end");
  });

  it("more header fields than are taken, by one byte each; the table stays the client's", () => {
    const indexed = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xe1, 0x1d]), Buffer.alloc(3936, 0x61)]);
    const block = (references: number) => Buffer.concat([headerBlock(POST), indexed, Buffer.alloc(references, 0xbe)]);
    const request = (stream: number, payload: Buffer) => frame({ type: FRAME.headers, flags: WHOLE, stream, payload });
    const { send } = session();
    expect(send(HELLO, request(1, block(16)), request(3, block(15))).slice(WELCOME.length)).toEqual([
      ...["rst 1 1", "headers 3", "data 3 5", "headers 3 end"],
    ]);
  });

  it("DATA on a stream that is closed", () => {
    expect(answer(headers(1), data(1), data(1, "x"))).toEqual(["headers 1", "data 1 5", "headers 1 end", "rst 1 5"]);
  });

  it("host stands for :authority, and OPTIONS may ask for *", () => {
    const pseudo = POST.filter(([name]) => name !== ":authority");
    const options = POST.map(
      ([name, value]) =>
        [
          name,
          new Map([
            [":method", "OPTIONS"],
            [":path", "*"],
          ]).get(name) ?? value,
        ] as const,
    );
    const sent = answer(headers(1, [...pseudo, ["host", "a"]], WHOLE), headers(3, options, WHOLE));
    expect(sent.filter((line) => line.endsWith("end"))).toEqual(["headers 1 end", "headers 3 end"]);
  });

  it("more streams than are taken", () => {
    const { send } = session({ isHolding: true });
    const many = Array.from({ length: 4097 }, (_, index) => headers(index * 2 + 1));
    expect(send(HELLO, ...many).slice(WELCOME.length)).toEqual(["rst 8193 7"]);
  });
});

describe("faults of the connection", () => {
  it.each<[string, Buffer[], number]>([
    ["another preface", [Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")], 1],
    ["no SETTINGS behind the preface", [PREFACE, headers(1)], 1],
    ["an acknowledgement in place of SETTINGS", [PREFACE, frame({ type: FRAME.settings, flags: FLAG.ack })], 1],
  ])("%s", (_, parts, code) => {
    const { send, events } = session();
    expect(send(...parts)).toEqual([...GREETING, `goaway 0 ${code}`]);
    expect(events).toEqual(["end"]);
  });

  it.each<[string, Buffer]>([
    ["DATA", data(1, "x")],
    ["DATA without bytes", data(1)],
    ["trailers", headers(1, [["a", "b"]], WHOLE)],
  ])("%s behind END_STREAM of a request that is not answered", (_, part) => {
    const { send, events } = session({ isHolding: true });
    expect(send(HELLO, headers(1), data(1), part).slice(WELCOME.length)).toEqual(["goaway 1 5"]);
    expect(events).toEqual(["gone 1", "end"]);
  });

  const on = (type: number, stream: number, bytes: number) => frame({ type, stream, payload: Buffer.alloc(bytes, 1) });
  it.each<[string, Buffer[], string]>([
    ["DATA on stream 0", [data(0)], "0 1"],
    ["DATA on an idle stream", [data(1)], "0 1"],
    ["DATA on a server's stream", [data(2)], "0 1"],
    ["HEADERS on stream 0", [headers(0)], "0 1"],
    ["HEADERS on a server's stream", [headers(2)], "0 1"],
    ["HEADERS on a lower stream", [headers(5), headers(3)], "5 1"],
    ["HEADERS on a closed stream", [headers(1, POST, WHOLE), headers(1, POST, WHOLE)], "1 5"],
    [
      "padding beyond the payload",
      [frame({ type: FRAME.data, flags: FLAG.padded, stream: 1, payload: Buffer.from([9, 0]) })].toSpliced(
        0,
        0,
        headers(1),
      ),
      "1 1",
    ],
    ["a frame that is too long", [frame({ type: 0xee, payload: Buffer.alloc(16_385) })], "0 6"],
    ["PRIORITY of 4 bytes", [on(FRAME.priority, 1, 4)], "0 6"],
    ["RST_STREAM of 5 bytes", [headers(1), on(FRAME.rstStream, 1, 5)], "1 6"],
    ["RST_STREAM of an idle stream", [reset(1)], "0 1"],
    ["SETTINGS on a stream", [on(FRAME.settings, 1, 0)], "0 1"],
    ["SETTINGS with half a setting", [on(FRAME.settings, 0, 5)], "0 6"],
    [
      "an acknowledgement with settings",
      [frame({ type: FRAME.settings, flags: FLAG.ack, payload: Buffer.alloc(6) })],
      "0 6",
    ],
    ["PRIORITY of 4 bytes on stream 0", [on(FRAME.priority, 0, 4)], "0 6"],
    ["ENABLE_PUSH of 2", [settings([2, 2])], "0 1"],
    ["ENABLE_CONNECT_PROTOCOL of 2", [settings([8, 2])], "0 1"],
    ["NO_RFC7540_PRIORITIES of 2", [settings([9, 2])], "0 1"],
    ["33 settings in one frame", [settings(...Array.from({ length: 33 }, () => [3, 1] as const))], "0 11"],
    [
      "HEADERS of a stream that depends on itself",
      [
        frame({
          type: FRAME.headers,
          flags: WHOLE | FLAG.priority,
          stream: 1,
          payload: Buffer.concat([Buffer.from([0, 0, 0, 1, 5]), headerBlock(POST)]),
        }),
      ],
      "0 1",
    ],
    ["INITIAL_WINDOW_SIZE above 2^31 − 1", [settings([4, 0x80000000])], "0 3"],
    ["MAX_FRAME_SIZE below 16384", [settings([5, 16_383])], "0 1"],
    ["MAX_FRAME_SIZE above 2^24 − 1", [settings([5, 16_777_216])], "0 1"],
    ["PING of 7 bytes", [on(FRAME.ping, 0, 7)], "0 6"],
    ["PING on a stream", [on(FRAME.ping, 1, 8)], "0 1"],
    ["GOAWAY of 7 bytes", [on(FRAME.goAway, 0, 7)], "0 6"],
    ["GOAWAY on a stream", [on(FRAME.goAway, 1, 8)], "0 1"],
    ["WINDOW_UPDATE of 3 bytes", [on(FRAME.windowUpdate, 0, 3)], "0 6"],
    ["WINDOW_UPDATE of 0 on the connection", [window(0, 0)], "0 1"],
    ["a window of the connection too far", [window(0, 0x7fffffff)], "0 3"],
    ["WINDOW_UPDATE of an idle stream", [window(1, 1)], "0 1"],
    ["PUSH_PROMISE", [on(FRAME.pushPromise, 1, 8)], "0 1"],
    ["CONTINUATION without HEADERS", [on(FRAME.continuation, 1, 1)], "0 1"],
    ["a frame in the midst of a header block", [headers(1, POST, 0), data(1)], "0 1"],
    ["an unknown frame in the midst of a header block", [headers(1, POST, 0), on(0xee, 1, 1)], "0 1"],
    ["CONTINUATION of another stream", [headers(1, POST, 0), on(FRAME.continuation, 3, 1)], "0 1"],
    [
      "an index without an entry",
      [frame({ type: FRAME.headers, flags: FLAG.endHeaders, stream: 1, payload: Buffer.from([0xff, 0x7f]) })],
      "0 9",
    ],
    [
      "index 0",
      [frame({ type: FRAME.headers, flags: FLAG.endHeaders, stream: 1, payload: Buffer.from([0x80]) })],
      "0 9",
    ],
    [
      "a text beyond the block",
      [frame({ type: FRAME.headers, flags: FLAG.endHeaders, stream: 1, payload: Buffer.from([0, 5, 0x61]) })],
      "0 9",
    ],
    [
      "a number above 2^28",
      [
        frame({
          type: FRAME.headers,
          flags: FLAG.endHeaders,
          stream: 1,
          payload: Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        }),
      ],
      "0 9",
    ],
    [
      "a table above its limit",
      [frame({ type: FRAME.headers, flags: FLAG.endHeaders, stream: 1, payload: Buffer.from([0x3f, 0xe2, 0x1f]) })],
      "0 9",
    ],
    [
      "a table size in the midst of a block",
      [frame({ type: FRAME.headers, flags: FLAG.endHeaders, stream: 1, payload: Buffer.from([0x83, 0x20]) })],
      "0 9",
    ],
    [
      "a header block of too many pieces",
      [headers(1, POST, 0), ...Array.from({ length: 40 }, () => on(FRAME.continuation, 1, 0))],
      "0 11",
    ],
    [
      "a header block that is too long",
      [headers(1, POST, 0), ...Array.from({ length: 5 }, () => on(FRAME.continuation, 1, 16_384))],
      "0 11",
    ],
  ])("%s", (_, parts, expected) => {
    const { send, events } = session({ isHolding: false });
    expect(send(HELLO, ...parts).at(-1)).toBe(`goaway ${expected}`);
    expect(events.at(-1)).toBe("end");
    expect(send(headers(9, POST, WHOLE)), "nothing more is read").toEqual([]);
  });

  it("DATA beyond the stream's window, and beyond the connection's", () => {
    const { send } = session({ isHolding: true, maxBodyBytes: 1e9 });
    send(HELLO, headers(1));
    const part = data(1, Buffer.alloc(16_384), 0);
    const sent = Array.from({ length: 32 }, () => send(part)).flat();
    expect(sent, "half of it gone: opened again").toEqual([]);
    expect(send(part)).toEqual(["window 1 540672"]);
  });

  it("open calls hear of it", () => {
    const { send, events } = session({ isHolding: true });
    send(HELLO, headers(1), headers(3), data(1));
    send(frame({ type: FRAME.ping, stream: 1, payload: Buffer.alloc(8) }));
    expect(events).toEqual(["gone 1", "gone 3", "end"]);
  });
});

describe("floods", () => {
  it.each<[string, (index: number) => Buffer]>([
    ["resets", (index) => Buffer.concat([headers(index * 2 + 1), reset(index * 2 + 1)])],
    ["streams that break a rule", (index) => headers(index * 2 + 1, [["x", "1"]], WHOLE)],
    ["PING", () => frame({ type: FRAME.ping, payload: Buffer.alloc(8) })],
    ["DATA without bytes", (index) => (index === 0 ? headers(1) : data(1, "", 0))],
    ["PRIORITY", () => frame({ type: FRAME.priority, stream: 1, payload: Buffer.alloc(5) })],
    ["unknown frames", () => frame({ type: 0xee })],
    ["window updates", (index) => (index === 0 ? headers(1) : window(1, 1))],
  ])("%s: 25,000 at once end the connection, 5,000 each second do not", (_, make) => {
    const fast = session();
    const sent = fast.send(HELLO, ...Array.from({ length: 25_000 }, (__, index) => make(index)));
    expect(sent.at(-1)).toMatch(/^goaway \d+ 11$/);
    const slow = session();
    slow.send(HELLO);
    for (let second = 0; second < 6; second += 1) {
      slow.send(...Array.from({ length: 5000 }, (__, index) => make(second * 5000 + index)));
      slow.wait(1000);
    }
    expect(slow.events).not.toContain("end");
  });

  it("SETTINGS: 101 at once end the connection, one each second do not", () => {
    const greeted = session();
    greeted.send(HELLO);
    const sent = greeted.send(...Array.from({ length: 100 }, (_, i) => settings([4, i % 2])));
    expect(sent.at(-1)).toMatch(/^goaway \d+ 11$/);
    const slow = session();
    slow.send(HELLO);
    for (let second = 0; second < 200; second += 1) {
      slow.send(settings([4, second % 2]));
      slow.wait(1000);
    }
    expect(slow.events).not.toContain("end");
  });
});

describe("what a client owes", () => {
  it("an answer that its windows hold back, until they let it through or the call is taken back", () => {
    const { connection, send } = session();
    send(PREFACE, settings([4, 0]), headers(1), data(1), headers(3), data(3));
    expect(connection.isWaiting).toBe(true);
    send(window(1, 100));
    expect(connection.isWaiting).toBe(true);
    send(reset(3));
    expect(connection.isWaiting).toBe(false);
  });

  it("streams whose own window is closed wait for no other: each goes on with its own", () => {
    const { send } = session({ message: "x".repeat(70_000) });
    send(PREFACE, settings([4, 0]), headers(1), data(1), headers(3), data(3));
    expect(send(window(0, 30_000))).toEqual([]);
    expect(send(window(3, 70_000)).at(-1)).toBe("headers 3 end");
    expect(send(window(1, 70_000))).not.toContain("headers 1 end");
    expect(send(window(0, 100_000)).at(-1)).toBe("headers 1 end");
  });

  it("a window of the connection that is opened byte by byte looks at the streams that it reaches, not at all that wait", () => {
    const { send } = session({ message: "x".repeat(1000) });
    send(HELLO);
    for (let id = 1; id < 1000; id += 2) send(headers(id), data(id));
    let steps = 0;
    const original = Set.prototype[Symbol.iterator];
    const counting = vi.spyOn(Set.prototype, Symbol.iterator).mockImplementation(function* (this: Set<unknown>) {
      for (const one of original.call(this)) {
        steps += 1;
        yield one;
      }
    } as typeof original);
    const sent = send(window(0, 1), window(0, 1));
    counting.mockRestore();
    expect(sent).toEqual(["data 131 1", "data 131 1"]);
    expect(steps).toBeLessThan(10);
  });
});

describe("a body that is not wanted", () => {
  it("is not kept; its end is told, and a limit of the stream's own ends it earlier", () => {
    const { connection, streams, bodies, events, send } = session();
    send(HELLO, headers(1));
    const [stream] = streams;
    if (stream === undefined || stream.listener === null) throw new Error("no stream");
    connection.discardBody(stream);
    stream.listener.onEnd = () => events.push("whole");
    send(data(1, "x".repeat(10_000), 0), data(1));
    expect([bodies, events]).toEqual([[], ["whole"]]);
    send(headers(3));
    for (const open of streams) open.maxBodyBytes = 5;
    send(data(3, "123456", 0));
    expect(bodies).toEqual([null]);
  });
});

describe("bodies that are not whole, of all connections of a server", () => {
  const MIB = 1024 * 1024;
  const WINDOW = "window 0";
  const part = (stream: number) => data(stream, Buffer.alloc(16_384), 0);
  /** Sends so many bytes of bodies without an end, of 128 KiB each at most, and ends as many others. */
  function sender(held: HeldBytes) {
    const { connection, send, events } = session({ held, isHolding: true, maxBodyBytes: MIB });
    send(HELLO);
    let last = -1;
    return {
      connection,
      events,
      send,
      hold: (bytes: number) => {
        const sent: string[] = [];
        for (let at = 0; at < bytes; at += 16_384) {
          if (at % (MIB / 8) === 0) sent.push(...send(headers((last += 2))));
          sent.push(...send(part(last)));
        }
        return sent;
      },
      /** Sends bodies that are whole at once. */
      whole: (bytes: number) => {
        const sent: string[] = [];
        for (let at = 0; at < bytes; at += 16_384)
          sent.push(...send(headers((last += 2)), data(last, Buffer.alloc(16_384))));
        return sent;
      },
    };
  }
  const windows = (sent: readonly string[]) => sent.filter((line) => line.startsWith(WINDOW));

  it("one client's connections share the limit: above it their streams are reset, and no one holds more", () => {
    const held = new HeldBytes(4 * MIB);
    const all = Array.from({ length: 8 }, () => sender(held));
    const sent = all.map((one) => one.hold(MIB));
    expect(sent.slice(0, 4).flat()).toEqual([]);
    // The fifth holds 64 KiB: then each part ends its stream. Envoy's own calls have that much, whoever else is there.
    for (const lines of sent.slice(4)) expect(lines).toContain("rst 1 11");
    all[0]?.connection.gone();
    expect(sender(held).hold(MIB / 2), "what is freed can be held").toEqual([]);
  });

  it("long header fields of requests that are open are counted, too", () => {
    const held = new HeldBytes(MIB);
    const long = POST.map(([name, value]) => [name, name === ":path" ? `/${"x".repeat(15_000)}` : value] as const);
    const open = ({ send }: ReturnType<typeof sender>, count: number) =>
      Array.from({ length: count }, (_, i) => send(headers(i * 2 + 1, long))).flat();
    const [one, two] = [sender(held), sender(held)];
    expect(open(one, 69)).toEqual([]);
    expect(open(two, 40), "it holds more than 64 KiB").toContain("rst 9 11");
    one.connection.gone();
    expect(open(sender(held), 30)).toEqual([]);
    two.connection.gone();
    expect(open(sender(held), 30), "what ends is given back once").toEqual([]);
  });

  it("a window is held back while others hold much, and is opened once they let go", () => {
    const held = new HeldBytes(32 * MIB);
    const [much, waits, little] = [sender(held), sender(held), sender(held)];
    expect(windows(much.hold(12 * MIB))).toHaveLength(1);
    expect(windows(waits.hold(9 * MIB)), "half of its window is used").toEqual([]);
    expect(windows(little.whole(9 * MIB)), "who holds nothing goes on").toHaveLength(1);
    much.connection.gone();
    expect(windows(waits.send()), "woken by another's end").toHaveLength(1);
    expect(windows(waits.hold(MIB))).toEqual([]);
  });

  it("a connection that is over is not woken", () => {
    const held = new HeldBytes(32 * MIB);
    const [much, waits] = [sender(held), sender(held)];
    much.hold(20 * MIB);
    waits.hold(9 * MIB);
    waits.connection.fail(11);
    expect(waits.send()).toEqual([expect.stringMatching(/^goaway /)]);
    much.connection.gone();
    expect(waits.send()).toEqual([]);
  });
});

describe("flow control of responses", () => {
  it("a window of 1, opened byte by byte", () => {
    const { send } = session();
    expect(send(PREFACE, settings([4, 1]), headers(1), data(1)).slice(3)).toEqual(["headers 1", "data 1 1"]);
    expect(send(window(1, 1))).toEqual(["data 1 1"]);
    expect(send(window(1, 100))).toEqual(["data 1 3", "headers 1 end"]);
  });

  it("a window of 0, opened by SETTINGS; one that is taken back is below 0 first", () => {
    const { send } = session();
    send(PREFACE, settings([4, 0]), headers(1), data(1));
    expect(send(settings([4, 3]))).toEqual(["settings ack", "data 1 3"]);
    expect(send(settings([4, 0]), window(1, 3))).toEqual(["settings ack"]);
    expect(send(window(1, 1), window(1, 100))).toEqual(["data 1 1", "data 1 1", "headers 1 end"]);
  });

  it("the connection's window is shared, and long messages are cut into frames", () => {
    const { send } = session({ message: "x".repeat(40_000) });
    const sent = send(HELLO, headers(1), headers(3), data(1), data(3)).slice(WELCOME.length);
    expect(sent).toEqual([
      ...["headers 1", "data 1 16384", "data 1 16384", "data 1 7232", "headers 1 end"],
      ...["headers 3", "data 3 16384", "data 3 9151"],
    ]);
    expect(send(window(0, 100_000))).toEqual(["data 3 14465", "headers 3 end"]);
  });

  it("larger frames where the client takes them", () => {
    const { send } = session({ message: "x".repeat(40_000) });
    expect(send(PREFACE, settings([5, 60_000]), headers(1), data(1)).slice(3)).toEqual([
      "headers 1",
      "data 1 40000",
      "headers 1 end",
    ]);
  });

  it("a reset forgets what waits", () => {
    const { send } = session();
    send(PREFACE, settings([4, 0]), headers(1), data(1));
    expect(send(reset(1), settings([4, 100]), window(0, 1))).toEqual(["settings ack"]);
  });
});

describe("the end", () => {
  it("two GOAWAYs: streams until the PING is acknowledged are taken, later ones refused", () => {
    const { connection, send, events, streams } = session({ isHolding: true });
    send(HELLO, headers(1, POST, WHOLE));
    connection.shutdown();
    expect(send()).toEqual(["goaway 2147483647 0", "ping"]);
    expect(
      send(headers(3, POST, WHOLE), frame({ type: FRAME.ping, flags: FLAG.ack, payload: Buffer.from("goingout") })),
    ).toEqual(["goaway 3 0"]);
    expect(send(headers(5, POST, WHOLE))).toEqual(["rst 5 7"]);
    expect(events).toEqual([]);
    for (const stream of streams) connection.respondHead(stream, head);
    expect(send()).toEqual(["headers 1 end", "headers 3 end"]);
    expect(events).toEqual(["end"]);
  });

  it("without open streams it ends with the second GOAWAY, which a client that is silent gets, too", () => {
    const { connection, send, events } = session();
    send(HELLO);
    connection.shutdown();
    connection.refuseNew();
    expect([send(), events]).toEqual([["goaway 2147483647 0", "ping", "goaway 0 0"], ["end"]]);
  });

  it("answers after the end go nowhere", () => {
    const { connection, send, streams, events } = session({ isHolding: true });
    send(HELLO, headers(1), data(1));
    connection.gone();
    connection.respond(streams[0] as Stream, { head, message: Buffer.from("x"), trailers });
    expect([send(), events]).toEqual([[], ["gone 1"]]);
  });
});

it("PING is acknowledged with its bytes", () => {
  const { connection, written } = session();
  connection.receive(Buffer.concat([HELLO, frame({ type: FRAME.ping, payload: Buffer.from("12345678") })]));
  expect(Buffer.concat(written).subarray(-8).toString()).toBe("12345678");
});

it("however the bytes are cut, the answers are the same", () => {
  const bytes = Buffer.concat([
    ...[HELLO, headers(1), data(1, "body"), headers(3, POST, 0)],
    frame({
      type: FRAME.continuation,
      flags: FLAG.endHeaders,
      stream: 3,
      payload: headerBlock([["x", "y".repeat(300)]]),
    }),
    ...[
      data(3, "a", 0),
      window(3, 7),
      data(3, Buffer.from([1, 98, 0]), FLAG.endStream | FLAG.padded),
      headers(5),
      reset(5),
      data(9),
    ],
  ]);
  const answers = (parts: readonly Buffer[]) => {
    const { connection, written, bodies } = session();
    for (const part of parts) connection.receive(part);
    return [Buffer.concat(written).toString("hex"), ...bodies];
  };
  const whole = answers([bytes]);
  expect(whole.slice(1)).toEqual(["body", "ab"]);
  for (let at = 1; at < bytes.length; at += 1) {
    expect(answers([bytes.subarray(0, at), bytes.subarray(at)]), `cut at ${at}`).toEqual(whole);
  }
  expect(answers([...bytes].map((byte) => Buffer.from([byte])))).toEqual(whole);
});
