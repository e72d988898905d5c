// What the fast wire stack holds beyond the contract of both: faults of framing, time-outs that nobody can read, bursts of resets.
import { constants } from "node:http2";
import { expect, it } from "vitest";
import { CHECK, framed, GOOD, response, send, verdictOf, wireWorld } from "../contract/wire-stack-world.ts";

const { records, connected } = wireWorld("http2");

it.each<[string, Buffer]>([
  ["more than its prefix says, a field at that", Buffer.concat([framed(GOOD), Buffer.from([0x78, 1])])],
  ["a compressed message", framed(GOOD, 1)],
  ["an unknown flag", framed(GOOD, 2)],
  ["a length with its highest bit", Buffer.concat([Buffer.from([0, 0x80, 0, 0, 0]), GOOD])],
])("D02: %s is refused, with a record, and never by a gRPC error", async (_, bytes) => {
  const { session } = await connected();
  const seen = await send(session, [bytes]).seen;
  expect(seen).toMatchObject({ status: 200, grpc: "0" });
  expect(verdictOf(seen)).toBe("BadRequest");
  expect(records).toMatchObject([{ decision: "deny", reason: "header_malformed" }]);
});

it("D02: a message beyond the limit is refused before its end", async () => {
  const { session } = await connected();
  const bytes = framed(Buffer.alloc(9 * 1024 * 1024));
  const stream = session.request({ ":method": "POST", ":path": CHECK, "content-type": "application/grpc" });
  const answered = new Promise<Buffer>((done) => stream.once("data", done));
  stream.on("error", () => {});
  stream.write(bytes); // and no end
  const body = await answered;
  expect(response.decode(body.subarray(5))).toMatchObject({ denied_response: { status: { code: "BadRequest" } } });
  expect(records).toMatchObject([{ decision: "deny", reason: "header_malformed" }]);
  await new Promise((done) => stream.once("close", done)); // it goes on sending, and is stopped
});

it.each<[string, Buffer[]]>([
  ["nothing of it comes", []],
  ["a piece of it comes", [framed(GOOD).subarray(0, 50)]],
])("M4, D08: a message that is not here in time is refused in time, and the call is closed: %s", async (_, parts) => {
  const { session } = await connected({ checkTimeoutMs: 60_000 });
  const stream = session.request({
    ...{ ":method": "POST", ":path": CHECK, "content-type": "application/grpc", "grpc-timeout": "2000m" },
  });
  for (const part of parts) stream.write(part);
  const started = performance.now();
  const body = await new Promise<Buffer>((done) => stream.once("data", done));
  expect(performance.now() - started).toBeLessThan(2000);
  expect(response.decode(body.subarray(5))).toHaveProperty("denied_response");
  expect(records).toHaveLength(1);
  expect(records[0]?.decision).not.toBe("allow");
  await new Promise((done) => stream.once("close", done));
});

it.each(["soon", "1000", "-5m", "1.5S", "123456789m", ""])(
  "M4: of a patience that nobody can read (%o) nothing is left",
  async (timeout) => {
    const { session } = await connected();
    expect(verdictOf(await send(session, [framed(GOOD)], { "grpc-timeout": timeout }).seen)).toBe("OK"); // a refusal, of the call by its id
    expect(records.at(-1)).toMatchObject({ reason: "deadline" });
  },
);

it("who does not speak gRPC is told so by HTTP, and decides nothing", async () => {
  const { session } = await connected();
  const { seen: typed } = send(session, [framed(GOOD)], { "content-type": "application/json" });
  expect(await typed).toMatchObject({ status: 415, grpc: undefined });
  const { seen: got } = send(session, [], { ":method": "GET" });
  expect(await got).toMatchObject({ status: 405, grpc: undefined });
  expect(records).toEqual([]);
});

it("D05: three thousand calls that are given up do not cost the connection", async () => {
  const { session } = await connected();
  for (let round = 0; round < 30; round += 1) {
    const quitters = Array.from({ length: 100 }, () => send(session, [framed(GOOD)]));
    for (const { stream } of quitters) stream.close(constants.NGHTTP2_CANCEL);
    await Promise.all(quitters.map(({ seen }) => seen));
  }
  expect(verdictOf(await send(session, [framed(GOOD)]).seen)).toBe("");
});
