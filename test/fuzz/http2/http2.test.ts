// Both wire stacks make the same of each HTTP/2 session: a short form of `npm run fuzz:http2` (decision record 019).
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compareSession, compareSessions, newReport } from "./differential.ts";
import { openHttp2Pair, type Http2Pair } from "./pair.ts";
import { data, frame, headers, HELLO } from "../../fakes/http2-frames.ts";
import { CHECK_PATH } from "../../../src/envoy/grpc/grpc-server.ts";

const SESSIONS = 1500;
const SEEDS = [1, 1_371_737_233];

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-http2-"));
let pair: Http2Pair;
beforeAll(async () => {
  process.env["GRPC_VERBOSITY"] = "NONE";
  pair = await openHttp2Pair(folder);
});
afterAll(async () => {
  await pair.close();
  rmSync(folder, { recursive: true, force: true });
});

it.each(SEEDS)("generated sessions of seed %i: no difference without a name", { timeout: 120_000 }, async (seed) => {
  const { sessions, answered, named, unnamed } = await compareSessions(pair, seed, SESSIONS);
  expect(unnamed).toEqual([]);
  expect(sessions).toBe(SESSIONS);
  expect(answered).toBeGreaterThan(SESSIONS / 4);
  expect(named.size).toBeGreaterThan(3);
});

it("a difference that no name explains is found", async () => {
  const report = newReport();
  const bytes = Buffer.concat([HELLO, call(1)]);
  const other = Buffer.concat([HELLO, call(1, "b")]);
  await compareSession({ ...pair, ours: (_bytes, turns) => pair.ours(other, turns) }, bytes, report);
  expect(report.unnamed.map(({ difference }) => difference.stream)).toEqual([1]);
  await compareSession({ ...pair, ours: (_bytes, turns) => pair.ours(frame({ type: 8 }), turns) }, bytes, report);
  expect(report.unnamed.map(({ difference }) => difference.stream)).toEqual([1, 0]);
});

function call(stream: number, text = "a"): Buffer {
  const fields = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", CHECK_PATH],
    [":authority", "a"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
  ] as const;
  return Buffer.concat([headers(stream, fields), data(stream, Buffer.from(`\0\0\0\0\u0001${text}`))]);
}
