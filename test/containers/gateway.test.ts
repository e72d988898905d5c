// What the demo promises, through one interface: with LAB=containers from images as docker-compose.yml starts them, with
// LAB=processes from this folder. The long suite is test/e2e; here is what could differ between the two.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { legacy, modern, reasonOf } from "../e2e/client.ts";
import { openLab } from "../../demo/open-lab.ts";
import type { OpenLab } from "../../demo/lab-interface.ts";
import { ALICE_PAT } from "../../demo/world.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-lab-"));
let lab: OpenLab | undefined;
let gateway: string;
let alice: string;
let bob: string;

const opened = (): OpenLab => {
  if (lab === undefined) throw new Error("the lab is not open");
  return lab;
};
const whoami = (token?: string) =>
  legacy(gateway, "tools/call", { name: "whoami", arguments: {} }, { token: token ?? null });

beforeAll(async () => {
  lab = await openLab(folder);
  console.log(`lab of ${lab.kind}: ${lab.about}`);
  ({ gateway } = lab);
  alice = await lab.token("alice");
  bob = await lab.token("bob");
});
afterAll(async () => {
  await lab?.stop();
  rmSync(folder, { recursive: true, force: true });
});

it.each([
  ["2025-11-25", legacy],
  ["2026-07-28", modern],
] as const)("%s: alice's own credential arrives, and not her token", async (_, send) => {
  const reply = await send(gateway, "tools/call", { name: "whoami", arguments: {} }, { token: alice });
  expect(reply.status).toBe(200);
  expect(reply.text).toContain(`Bearer ${ALICE_PAT}`);
  expect(reply.text).not.toContain(alice);
  expect((await opened().audit()).at(-1)).toMatchObject({
    decision: "allow",
    server: "demo",
    name: "whoami",
    subject: "alice",
    credential: "vault",
  });
});

it("a withheld tool is refused and reaches nobody, and so is bob", async () => {
  const before = await opened().reached();
  const params = { name: "delete_repo", arguments: { name: "x" } };
  const withheld = await legacy(gateway, "tools/call", params, { token: alice });
  expect([withheld.status, reasonOf(withheld), withheld.message?.["id"]]).toEqual([200, "policy_denied", 1]);
  expect(reasonOf(await whoami(bob))).toBe("policy_denied");
  expect(await opened().reached()).toEqual(before);
});

it("lists show what may be called, of all servers on one endpoint", async () => {
  const names = async (token: string) => (await legacy(gateway, "tools/list", {}, { token, path: "/mcp" })).text;
  const within = { timeout: 20_000, interval: 200 }; // serve looks for the catalogue once a second
  await vi.waitFor(async () => expect(await names(alice)).toContain('"everything_echo"'), within);
  const list = await names(alice);
  for (const name of ["demo_whoami", "tickets_whoami", "budget_get-budget-data"]) expect(list).toContain(`"${name}"`);
  expect(list).not.toContain("delete_repo");
  expect(await names(bob)).not.toContain("whoami");
});

it("through the broker: an exchanged token, the gateway's own account, and nothing for who has none", async () => {
  const on = (token: string, name: string, args = {}) =>
    legacy(gateway, "tools/call", { name, arguments: args }, { token, path: "/mcp" });
  const last = async () => (await opened().audit()).at(-1);
  const exchanged = await on(alice, "tickets_whoami");
  expect(exchanged.text).toContain("Bearer eyJ");
  expect(exchanged.text).not.toContain(alice.split(".")[2]);
  expect(await last()).toMatchObject({ decision: "allow", credential: "exchange", server: "tickets" });
  expect((await on(alice, "everything_get-sum", { a: 2, b: 3 })).text).toContain("5");
  expect(reasonOf(await on(alice, "budget_get-budget-data"))).toBeUndefined();
  expect(await last()).toMatchObject({ decision: "allow", credential: "static", server: "budget" });
  const carol = await opened().token("carol");
  expect(reasonOf(await on(carol, "tickets_whoami"))).toBe("credential_missing");
});

it("nobody gets the challenge, and its document leads to the login of the one issuer", async () => {
  const reply = await whoami();
  const url = `${gateway}/.well-known/oauth-protected-resource/servers/demo/mcp`;
  expect(reply.status).toBe(401);
  expect(reply.headers.get("www-authenticate")).toContain(`resource_metadata="${url}"`);
  const document = (await (await fetch(url)).json()) as { resource: string; authorization_servers: string[] };
  expect(document.resource).toBe(`${gateway}/servers/demo/mcp`);
  expect(document.authorization_servers).toEqual([opened().issuer]);
  // The same URL for browsers here and in the tokens that serve verifies.
  const metadata = await fetch(`${opened().issuer}/.well-known/openid-configuration`);
  expect(await metadata.json()).toMatchObject({ issuer: opened().issuer });
});

it("an edit of the policy on this machine counts, and a broken one changes nothing", async () => {
  const data = join(opened().policyFolder, "data.yaml");
  const rego = join(opened().policyFolder, "policy.rego");
  const [dataText, regoText] = [readFileSync(data, "utf8"), readFileSync(rego, "utf8")];
  const started = Date.now();
  writeFileSync(data, dataText.replaceAll("whoami", "whoareyou"));
  // 2 s is the promise; a loaded machine gets more before the test calls it broken.
  const within = { timeout: 8000, interval: 50 };
  await vi.waitFor(async () => expect(reasonOf(await whoami(alice))).toBe("policy_denied"), within);
  console.log(`policy edit: live after ${Date.now() - started} ms`);
  writeFileSync(data, dataText);
  await vi.waitFor(async () => expect(reasonOf(await whoami(alice))).toBeUndefined(), within);
  writeFileSync(rego, "package mcp.authz\nallow if {");
  await delay(2500);
  expect((await whoami(alice)).text).toContain(ALICE_PAT);
  expect(reasonOf(await whoami(bob))).toBe("policy_denied");
  writeFileSync(rego, regoText);
});

it("M2, C17: with serve killed Envoy answers 503 and nothing gets through; it heals", async () => {
  const before = await opened().reached();
  await opened().killServe();
  expect((await whoami(alice)).status).toBe(503);
  expect((await whoami()).status).toBe(503);
  expect(await opened().reached()).toEqual(before);
  await opened().startServe();
  // Envoy's next health check; in containers also its next look at the name.
  await vi.waitFor(async () => expect((await whoami(alice)).status).toBe(200), { timeout: 20_000, interval: 200 });
});
