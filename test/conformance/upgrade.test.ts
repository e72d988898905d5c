// An upgrade as docs/runbook.md has it: two replicas of `serve` and of `broker` behind the real Envoy restart in turn under
// load, and no call fails.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { freePort } from "../../demo/ports.ts";
import { startFixture, type Fixture } from "./fixture/fixture.ts";
import { modernRequest, send, withHeaders } from "./raw.ts";
import { REPLICAS, startReplicas, type Replicas } from "./replicas.ts";

/** Calls a second; a busy machine does fewer, and the test says how many. */
const RATE = 500;
const WORKERS = 16;
/** Ten times of what Envoy takes to find out. */
const DRAIN_DELAY_MS = 2000;

/** A machine that is busy with other things fails no call. */
const PATIENT = { checkTimeoutMs: 10_000 };
const TIMEOUT_MS = 30_000;

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-upgrade-"));
let fixture: Fixture;
let replicas: Replicas;
let alice: string;

beforeAll(async () => {
  fixture = await startFixture(await freePort());
  const servers = { fixture: { url: `${fixture.origin}/mcp`, credential: [{ none: {} }] } };
  replicas = await startReplicas(folder, servers, { drainDelayMs: DRAIN_DELAY_MS, ...PATIENT });
  alice = await replicas.lab.idp.mint("alice");
}, 300_000);
afterAll(async () => {
  await replicas.stop();
  await fixture.close();
  rmSync(folder, { recursive: true, force: true });
});

it("each replica restarts in turn under load, and no call fails", { timeout: 240_000 }, async ({ annotate }) => {
  expect(await fault()).toBeNull();
  const load = startLoad();
  try {
    await load.reached(50);
    for (const name of ["serve", "broker"] as const) for (const replica of REPLICAS) await replicas.roll(name, replica);
    await load.reached(50);
  } finally {
    await load.stop();
  }
  const { failed, done, perSecond } = load.told();
  await annotate(`${done} calls, ${perSecond} a second`);
  expect({ failed, enough: done >= 150 }).toEqual({ failed: [], enough: true });
  for (const replica of REPLICAS) expect((await replicas.arrivals())[replica]).toBeGreaterThan(0);
});

/** One call: what is wrong with its answer, or null. */
async function fault(): Promise<string | null> {
  const call = withHeaders(modernRequest("tools/call", { name: "test_simple_text", arguments: {} }), {
    authorization: `Bearer ${alice}`,
  });
  const url = `${replicas.lab.gateway}/servers/fixture/mcp`;
  const { status, message, text } = await send(url, { ...call, timeoutMs: TIMEOUT_MS });
  return status === 200 && message?.result !== undefined ? null : `${status} ${text}`;
}

/** Calls at a rate, from workers that each wait for their answer. */
function startLoad() {
  const failed: string[] = [];
  const over = new AbortController();
  const started = performance.now();
  let done = 0;
  let seconds = 0;
  const worker = async () => {
    while (!over.signal.aborted) {
      const began = performance.now();
      const told = await fault().catch(String);
      done += 1;
      if (told !== null) failed.push(told.slice(0, 300));
      await delay(Math.max(0, (1000 * WORKERS) / RATE - (performance.now() - began)));
    }
  };
  const workers = Array.from({ length: WORKERS }, worker);
  return {
    async reached(more: number) {
      const goal = done + more;
      await vi.waitFor(() => expect(done).toBeGreaterThanOrEqual(goal), { timeout: 60_000, interval: 50 });
    },
    async stop() {
      over.abort();
      await Promise.all(workers);
      seconds = (performance.now() - started) / 1000;
    },
    told: () => ({ failed, done, perSecond: Math.round(done / seconds) }),
  };
}
