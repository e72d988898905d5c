// A server moves to another URL while serve, the broker and Envoy each read that at its own time, in each order: a credential never
// reaches a host that it was not fetched for, and what is refused meanwhile passes once all have read the same.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { writeXdsFolder } from "../../src/cli/xds-folder.ts";
import { loadConfig } from "../../src/config/load.ts";
import { startEraServer, type EraServer } from "../fakes/mcp-server.ts";
import { modern, type Reply } from "./client.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-moved-"));
const SOON = { timeout: 20_000, interval: 50 };
const PLACES = ["old", "new"] as const;
type Place = (typeof PLACES)[number];
const PARTS = ["serve", "broker", "envoy"] as const;
type Part = (typeof PARTS)[number];
const ROUTES = ["direct", "broker"] as const;
type Route = (typeof ROUTES)[number];

let lab: Lab;
let servers: Readonly<Record<Place, EraServer>>;
let alice: string;

const credential = (place: Place) => [{ static: { file: `secrets/${place}` } }];
const serverAt = (callRouting: Route, place: Place) => ({
  url: servers[place].url,
  callRouting,
  credential: credential(place),
  discovery: credential(place),
});

function write(place: Place): void {
  const config = parse(readFileSync(lab.configFile, "utf8")) as { servers: object };
  config.servers = Object.fromEntries(ROUTES.map((route) => [route, serverAt(route, place)]));
  writeFileSync(lab.configFile, stringify(config));
}

beforeAll(async () => {
  const [old, fresh] = await Promise.all([startEraServer("modern"), startEraServer("modern")]);
  servers = { old, new: fresh };
  lab = await startLab({
    ...{ folder, ports: await freePorts(), policyFolder: null, envoyXds: true, progress: () => {} },
    config(config) {
      for (const place of PLACES) writeFileSync(join(folder, "secrets", place), `${place}-canary\n`, { mode: 0o600 });
      config["watchFiles"] = false;
      config["servers"] = Object.fromEntries(ROUTES.map((route) => [route, serverAt(route, "old")]));
      writeFileSync(join(folder, "policies/data.yaml"), stringify({ grants: { engineering: GRANTS }, limits: {} }));
    },
  });
  alice = await lab.idp.mint("alice");
}, 60_000);
afterAll(async () => {
  await lab.stop();
  await Promise.all(PLACES.map((place) => servers[place].close()));
  rmSync(folder, { recursive: true, force: true });
});

const GRANTS = Object.fromEntries(ROUTES.map((route) => [route, { tool: ["*"] }]));

/** Has one part read what the configuration file has now. */
async function tell(part: Part): Promise<void> {
  if (part === "envoy") {
    await writeXdsFolder(loadConfig(lab.configFile, process.env).config, join(folder, "xds"));
    return;
  }
  const reloads = () => lab.children[part].output().split('"reloaded"').length;
  const before = reloads();
  lab.children[part].kill("SIGHUP");
  await vi.waitFor(() => expect(reloads()).toBeGreaterThan(before), SOON);
}

const reasonOf = ({ message }: Reply) =>
  (message?.["error"] as { data?: { reason?: string } } | undefined)?.data?.reason;

/** One call: where it arrived, or how it was refused. No server has ever seen another's credential. */
async function end(route: Route): Promise<string> {
  for (const place of PLACES) servers[place].requests.length = 0;
  const path = `/servers/${route}/mcp`;
  const reply = await modern(lab.gateway, "tools/call", { name: "echo", arguments: {} }, { token: alice, path });
  for (const place of PLACES)
    for (const { headers } of servers[place].requests) expect(headers.authorization).toBe(`Bearer ${place}-canary`);
  const arrived = PLACES.filter((place) => servers[place].of("tools/call").length > 0);
  if (reply.status === 200) expect(arrived).toHaveLength(1);
  else {
    expect(arrived).toEqual([]);
    expect(reply.headers.get("retry-after")).toBe("1");
  }
  return arrived[0] ?? `${reply.status} ${reasonOf(reply) ?? ""}`;
}

const ORDERS: readonly (readonly [Part, Part, Part])[] = [
  ["serve", "broker", "envoy"],
  ["broker", "envoy", "serve"],
  ["envoy", "serve", "broker"],
  ["serve", "envoy", "broker"],
  ["broker", "serve", "envoy"],
  ["envoy", "broker", "serve"],
];
const REFUSED = { direct: "503 ", broker: "503 credential_unavailable" };

it.each(ORDERS.map((order, i) => [order.join(", "), order, PLACES[(i + 1) % 2]!] as const))(
  "F21: %s",
  async (_, order, next) => {
    const before: Place = next === "new" ? "old" : "new";
    const at: Record<Part, Place> = { serve: before, broker: before, envoy: before };
    const carriers = { direct: "envoy", broker: "broker" } as const;
    const expected = (route: Route) => (at.serve === at[carriers[route]] ? at.serve : REFUSED[route]);
    for (const route of ROUTES) await expect.poll(() => end(route), SOON).toBe(before);
    write(next);
    for (const part of order) {
      await tell(part);
      at[part] = next;
      for (const route of ROUTES) await expect.poll(() => end(route), SOON).toBe(expected(route));
    }
  },
  120_000,
);
