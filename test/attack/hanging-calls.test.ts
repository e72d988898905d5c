// One caller with as many calls as her connections hold, of a server that never answers: another caller of the same server
// is answered within the server's `timeoutMs`.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { legacy } from "../e2e/client.ts";
import { startHelper } from "./child.ts";
import { startHostileServer, withoutCredential, type HostileServer } from "./hostile.ts";
import { openAttackLab, type AttackLab } from "./lab.ts";
import { ATTACK_SOURCE } from "./settings.ts";

const TIMEOUT_MS = 2000;
/** For a machine that does everything at once. */
const MARGIN_MS = 3000;
const CONNECTIONS = 11;

let server: HostileServer;
let lab: AttackLab;

beforeAll(async () => {
  server = await startHostileServer({
    call: ({ message, result }) => (message.params?.name === "t" ? undefined : result({ content: [] })),
  });
  const of = (callRouting: string) => withoutCredential(server.url, { callRouting, timeoutMs: TIMEOUT_MS });
  lab = await openAttackLab({
    servers: { d: of("direct"), b: of("broker") },
    grants: { d: { tool: ["*"] }, b: { tool: ["*"] } },
  });
});
afterAll(async () => {
  await lab.stop();
  await server.close();
});

describe.each([
  ["direct", "d"],
  ["by the broker", "b"],
])("%s [F7]", (_, route) => {
  it("another caller is answered, and a call that hangs ends at its time", async () => {
    const path = `/servers/${route}/mcp`;
    const attacker = startHelper("attackers/held-calls.ts", {
      ...{ gateway: lab.gateway, source: ATTACK_SOURCE, seconds: 14, token: await lab.idp.mint("alice"), path },
      ...{ connections: CONNECTIONS, streamsPerConnection: 100, reads: true, reopens: false },
    });
    const carol = await lab.idp.mint("carol");
    const times: number[] = [];
    const answers: number[] = [];
    const end = performance.now() + 12_000;
    while (performance.now() < end) {
      const at = performance.now();
      const quick = legacy(lab.gateway, "tools/call", { name: "quick", arguments: {} }, { token: carol, path });
      const late = AbortSignal.timeout(20_000);
      const reply = await Promise.race([
        quick,
        new Promise<null>((done) => late.addEventListener("abort", () => done(null))),
      ]);
      times.push(performance.now() - at);
      answers.push(reply?.status ?? 0);
    }
    const did = await attacker.report<Record<string, number>>();
    const wrong = answers.filter((status) => status !== 200);
    const told = JSON.stringify({ calls: answers.length, wrong: wrong.slice(0, 20), did });
    expect(1 - wrong.length / answers.length, told).toBeGreaterThanOrEqual(0.99);
    expect(Math.max(...times), JSON.stringify(did)).toBeLessThan(TIMEOUT_MS + MARGIN_MS);
    // Envoy's own; the broker's refusal of an older request is 200.
    expect(did[route === "d" ? "504" : "200"] ?? 0, JSON.stringify(did)).toBeGreaterThan(0);
  });
});
