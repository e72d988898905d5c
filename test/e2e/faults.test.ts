// Each part lost and back, at every step of a call through the real Envoy: the refusal that the table says, nothing that
// goes through, and healed within five seconds.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { startFaultProxy, type FaultProxy, type ProxyMode } from "../fakes/fault-proxy.ts";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { legacy, reasonOf, type Reply } from "./client.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-faults-"));
let lab: Lab;
let parts: Record<"vault" | "idp" | "tickets", FaultProxy>;

interface ServerConfig {
  url: string;
  timeoutMs?: number;
  credential: { exchange?: { tokenEndpoint: string } }[];
}

beforeAll(async () => {
  const ports = await freePorts();
  parts = {
    vault: await startFaultProxy(ports.vault),
    idp: await startFaultProxy(ports.idp),
    tickets: await startFaultProxy(ports.tickets),
  };
  const through = (url: string, proxy: FaultProxy) => {
    const { pathname } = new URL(url);
    return `http://127.0.0.1:${proxy.port}${pathname === "/" ? "" : pathname}`;
  };
  const config = (tree: Record<string, unknown>) => {
    const vault = tree["vault"] as { address: string; cacheTtlMs?: number };
    vault.address = through(vault.address, parts.vault);
    Object.assign(tree, { negativeTtlMs: 1 });
    vault.cacheTtlMs = 1; // each call asks
    const identity = tree["identity"] as { issuers: { issuer: string; jwksUri?: string; allowedHosts?: string[] }[] };
    for (const issuer of identity.issuers) issuer.jwksUri = `http://127.0.0.1:${parts.idp.port}/jwks`;
    const { tickets } = tree["servers"] as { tickets: ServerConfig };
    tickets.url = through(tickets.url, parts.tickets);
    tickets.timeoutMs = 1000;
    for (const { exchange } of tickets.credential)
      if (exchange !== undefined) exchange.tokenEndpoint = through(exchange.tokenEndpoint, parts.idp);
  };
  lab = await startLab({ folder, ports, policyFolder: null, world: true, progress: () => {}, config });
});
afterAll(async () => {
  await lab.stop();
  for (const part of Object.values(parts)) await part.close();
  rmSync(folder, { recursive: true, force: true });
});

afterEach(async () => {
  for (const part of Object.values(parts)) await part.set("pass");
});

/** A call with a token that nobody has seen: nothing of it is cached. */
async function call(server: "demo" | "tickets"): Promise<Reply> {
  const token = await lab.idp.mint("alice");
  return legacy(
    lab.gateway,
    "tools/call",
    { name: "whoami", arguments: {} },
    { token, path: `/servers/${server}/mcp` },
  );
}

const calls = () =>
  [...lab.demo.arrivals, ...(lab.world?.tickets.arrivals ?? [])].filter(({ body }) => body.includes("tools/call"))
    .length;

async function expectHealed(server: "demo" | "tickets"): Promise<void> {
  const healed = async () => expect((await call(server)).text).toContain("authorization");
  await vi.waitFor(healed, { timeout: 5000, interval: 100 });
}

const LOST: readonly ProxyMode[] = ["gone", "silent", "broken"];

describe.each(LOST)("%s", (mode) => {
  it.each([
    ["vault", "demo", [503, "credential_unavailable"]],
    ["vault", "tickets", [503, "credential_unavailable"]],
    ["idp", "tickets", [503, "credential_unavailable"]],
    ["tickets", "tickets", mode === "silent" ? [504, "upstream_timeout"] : [502, "upstream_unavailable"]],
  ] as const)("N01: %s, for a call to %s", async (part, server, expected) => {
    await expectHealed(server);
    const before = calls();
    const exchanges = lab.idp.exchanges.length;
    await parts[part].set(mode);
    const reply = await call(server);
    expect([reply.status, reasonOf(reply)]).toEqual(expected);
    expect(calls()).toBe(before);
    if (part === "vault") expect(lab.idp.exchanges).toHaveLength(exchanges); // cannot tell is not has none
    await parts[part].set("pass");
    await expectHealed(server);
  });

  it("A33: known keys go on while the issuer is away", async () => {
    await expectHealed("demo");
    await parts.idp.set(mode);
    expect((await call("demo")).status).toBe(200);
  });
});

it("N03: the broker killed is 503 from Envoy, lists and relayed calls alike, and heals", async () => {
  await expectHealed("tickets");
  lab.children.broker.kill("SIGKILL");
  await lab.children.broker.exited;
  const reply = await call("tickets");
  expect(reply.status).toBe(503);
  expect((await call("demo")).status).toBe(200); // direct
  await lab.restartBroker();
  await expectHealed("tickets");
});
