// What the reference wire stack does otherwise than the fast one, as decision record 011 says. grpc-js does it before a call
// is ours; a new version that does it otherwise is to be noticed.
import { constants } from "node:http2";
import { gzipSync } from "node:zlib";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { CHECK, framed, GOOD, request, send, verdictOf, wireWorld } from "../contract/wire-stack-world.ts";
import { checkMessage } from "../fakes/check-request.ts";

const { records, connected } = wireWorld("grpc-js");
const GZIP = { "grpc-encoding": "gzip" };

describe("ends in a gRPC error, which Envoy's failure_mode_allow decides: no allow of ours, no record", () => {
  it.each<[string, Buffer, Record<string, string>, number]>([
    [
      "a length beyond the limit",
      Buffer.concat([Buffer.from([0, 0x80, 0, 0, 0]), GOOD]),
      {},
      status.RESOURCE_EXHAUSTED,
    ],
    ["9 MiB that were 9 KiB", framed(gzipSync(Buffer.alloc(9 * 1024 * 1024)), 1), GZIP, status.RESOURCE_EXHAUSTED],
    ["what is no gzip", framed(GOOD, 1), GZIP, status.INTERNAL],
    ["an unknown encoding", framed(GOOD, 1), { "grpc-encoding": "br" }, status.UNIMPLEMENTED],
    ["a grpc-timeout without a unit", framed(GOOD), { "grpc-timeout": "1000" }, status.INTERNAL],
    ["a grpc-timeout without a number", framed(GOOD), { "grpc-timeout": "soon" }, status.INTERNAL],
  ])("%s", async (_, bytes, headers, grpc) => {
    const { session } = await connected();
    expect(await send(session, [bytes], headers).seen).toMatchObject({ status: 200, grpc: String(grpc) });
    expect(records).toEqual([]);
  });
});

describe("is decided, by the message inside", () => {
  it.each<[string, Buffer, Record<string, string>]>([
    ["a gzip", framed(gzipSync(GOOD), 1), GZIP],
    ["the flag without an encoding", framed(GOOD, 1), {}],
    ["an unknown flag", framed(GOOD, 2), {}],
    ["a piece of a second message", Buffer.concat([framed(GOOD), Buffer.from([0x78, 1])]), {}],
    ["a grpc-timeout that holds one", framed(GOOD), { "grpc-timeout": "1.5S" }],
    ["another content type that begins alike", framed(GOOD), { "content-type": "application/grpcsomething" }],
    ["another method", framed(GOOD), { ":method": "PUT" }],
  ])("%s", async (_, bytes, headers) => {
    const { session } = await connected();
    expect(verdictOf(await send(session, [bytes], headers).seen)).toBe("");
    expect(records).toMatchObject([{ decision: "allow" }]);
    const none = request.encode(checkMessage({ body: "{}" }));
    const refused = framed(none, bytes[0] === 2 ? 2 : 0);
    expect(verdictOf(await send(session, [refused]).seen)).toBe("Unauthorized");
  });
});

it("a call whose client does not end its side is answered, and stays open until the client goes", async () => {
  const { session } = await connected({ checkTimeoutMs: 200 });
  const stream = session.request({ ":method": "POST", ":path": CHECK, "content-type": "application/grpc" });
  await new Promise((done) => stream.once("data", done));
  expect(records).toMatchObject([{ decision: "deny" }]);
  stream.close(constants.NGHTTP2_CANCEL);
});

it("D05: a burst of resets costs the connection, and no other", async () => {
  const { session, port } = await connected();
  const closed = new Promise((done) => session.once("close", done));
  for (let i = 0; i < 3000 && !session.destroyed; i += 1) {
    const { stream, seen } = send(session, [framed(GOOD)]);
    seen.catch(() => {});
    stream.close(constants.NGHTTP2_CANCEL);
    if (i % 100 === 0) await new Promise(setImmediate);
  }
  await closed;
  expect(port).toBeGreaterThan(0);
});
