// Each client of the matrix with each server of it, through Envoy, serve and broker: greets, lists, calls, gets a prompt and
// reads a resource; and where the two can ask back directly, they can through us.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isMissing } from "./expectations.ts";
import { startConformanceLab, type ConformanceLab } from "./lab.ts";
import { CLIENTS, type MatrixClient } from "./matrix/clients.ts";
import { FIXTURE_ASKS, SERVERS, startServers, type Asks, type Running } from "./matrix/servers.ts";
import { STEPS, type Said, type Step } from "./matrix/visits.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-matrix-"));
const AT_ONCE = 4;
let lab: ConformanceLab;
let running: readonly Running[] = [];

interface Cell {
  readonly through: Said;
  /** Without the gateway; empty where that was not tried. */
  readonly direct: Said;
}
const cells = new Map<string, Cell>();
const keyOf = (client: string, server: string) => `${client} × ${server}`;

interface Place {
  readonly name: string;
  readonly asks: Asks;
  readonly missing: string | null;
  readonly directUrl: () => string | null;
}

const PLACES: readonly Place[] = [
  { name: "fixture", asks: FIXTURE_ASKS, missing: null, directUrl: () => `${lab.fixture.origin}/mcp` },
  ...SERVERS.map(({ name, asks, missing, path }) => ({
    name,
    asks,
    missing,
    // A client of HTTP+SSE would need another transport.
    directUrl: () => (path === "/sse" ? null : (running.find(({ server }) => server.name === name)?.url ?? null)),
  })),
];

beforeAll(async () => {
  running = await startServers(folder);
  const none = [{ none: {} }];
  const further = running.map(({ server, url }) => [server.name, { url, credential: none, legacySse: true }] as const);
  lab = await startConformanceLab(folder, Object.fromEntries(further));
  const token = await lab.lab.idp.mint("alice");
  const waiting = CLIENTS.filter(({ missing }) => missing === null);
  const work = async () => {
    for (let client = waiting.shift(); client !== undefined; client = waiting.shift()) await visitAll(client, token);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}, 600_000);
afterAll(async () => {
  await Promise.all(running.map(({ child }) => child.stop()));
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function visitAll(client: MatrixClient, token: string): Promise<void> {
  const there = PLACES.filter(({ missing }) => missing === null);
  const through = await client.run(
    there.map(({ name, asks }) => ({
      url: `${lab.lab.gateway}/servers/${name}/${client.endpoint ?? "mcp"}`,
      token,
      asks,
    })),
  );
  const asking = there.filter(({ asks, directUrl }) => asks.ask !== undefined && directUrl() !== null);
  const direct =
    client.stepsOnly === undefined && client.endpoint === undefined
      ? await client.run(asking.map(({ asks, directUrl }) => ({ url: directUrl() ?? "", token: null, asks })))
      : [];
  there.forEach(({ name }, i) => {
    const said = direct[asking.findIndex((place) => place.name === name)];
    cells.set(keyOf(client.name, name), { through: through[i] ?? {}, direct: said ?? {} });
  });
}

const heard = (said: Said, step: Step, asks: Asks) => (said[step] ?? "").includes(asks.says[step] ?? "?");

describe.each(CLIENTS)("$name", ({ name: client, missing: clientMissing, stepsOnly = STEPS }) => {
  for (const { name: server, asks, missing: serverMissing } of PLACES) {
    const missing = clientMissing ?? serverMissing;
    const title = `${client} × ${server}`;
    const here = missing === null ? "" : ` (not here: ${missing})`;
    const cell = () => cells.get(keyOf(client, server)) ?? { through: {}, direct: {} };

    const plain = isMissing("matrix", title) ? it.fails : it.skipIf(missing !== null);
    plain(`${title}: lists, calls, gets and reads${here}`, () => {
      const { through } = cell();
      const wanted = stepsOnly.filter((step) => step !== "ask" && asks.says[step] !== undefined);
      const lost = wanted.filter((step) => !heard(through, step, asks)).map((step) => `${step}: ${through[step]}`);
      expect(lost).toEqual([]);
    });

    if (asks.ask === undefined || !stepsOnly.includes("ask")) continue;
    const asking = isMissing("matrix", `${title}: asked`) ? it.fails : it.skipIf(missing !== null);
    asking(`${title}: she is asked back as directly${here}`, () => {
      const { through, direct } = cell();
      const says = heard(direct, "ask", asks) ? asks.says["ask"] : "";
      expect(through.ask, `directly: ${direct.ask}`).toContain(says);
      expect(through.ask).not.toContain("no answer in time");
    });
  }
});
