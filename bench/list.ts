// `node bench/list.ts`: where the time of a list goes, step by step, against the decision of one call. All in one process.
import { createPolicyCallers } from "../src/authz/policy-input.ts";
import { createPublicKey } from "node:crypto";
import { parseArgs } from "node:util";
import { createCheck } from "../src/authz/check.ts";
import { pass } from "../src/authz/step.ts";
import type { PolicyInput, PolicyOperation } from "../src/authz/types.ts";
import { newCheckFacts } from "../src/authz/facts.ts";
import { housekeeping } from "../src/broker/housekeeping.ts";
import { createCatalog } from "../src/broker/catalog/snapshot.ts";
import { artifact } from "../src/policy/artifact.ts";
import { decide, visible } from "../src/policy/decision.ts";
import { createEvaluator, UNWATCHED } from "../src/policy/evaluator.ts";
import { createSigner } from "../src/wristband/sign.ts";
import { createVerifier } from "../src/wristband/verify.ts";
import { compiledDemo } from "../test/fakes/demo-policy.ts";
import { ALICE, allowingPorts, checkSettings, requestOf } from "../test/fakes/authz.ts";
import { listingOf, tool } from "../test/fakes/listing.ts";
import { WRISTBAND } from "../test/fakes/wristband.ts";
import { makeKey } from "../test/fakes/issuer.ts";
import { drive, inTurns } from "./harness.ts";
import { spreadText } from "./statistics.ts";

const { values: options } = parseArgs({
  options: {
    windows: { type: "string", default: "25" },
    "window-ms": { type: "string", default: "40" },
    shown: { type: "string", default: "20" },
  },
});
const WINDOWS = Number(options.windows);
const WINDOW_MS = Number(options["window-ms"]);
const NAMES = 200;
const SHOWN = Number(options.shown);

const names = Array.from({ length: NAMES }, (_, i) => (i < SHOWN ? `search_${i}` : `other_tool_${i}`));
const description = "Searches the documents of the company by words, and gives the best ten with their places. ".repeat(
  4,
);
const inputSchema = {
  type: "object",
  properties: { query: { type: "string", description: "Words to look for" }, limit: { type: "integer" } },
  required: ["query"],
};
const catalog = createCatalog({
  servers: new Map([
    ["s", async () => listingOf("s", { tools: names.map((name) => tool(name, { description, inputSchema })) })],
  ]),
  monotonic: () => 0,
  onListed: () => {},
});
await catalog.start();
catalog.close();
const snapshot = catalog.current();

const rules = compiledDemo();
const data = JSON.stringify({
  grants: { engineering: { s: { tool: ["search_*", "read"] } } },
  limits: { transfer: 1 },
});
const evaluator = createEvaluator(artifact(rules, data), snapshot.names, UNWATCHED);
const callerOf = createPolicyCallers();
const inputFor = (mcp: Partial<PolicyOperation>): PolicyInput => {
  const operation = {
    kind: "tool" as const,
    name: null,
    arguments: {},
    version: "2025-11-25",
    method: "",
    server: "s",
  };
  const request = { host: "h", path: "/servers/s/mcp", sourceIp: "192.0.2.1", time: 1, headers: {} };
  return { identity: callerOf(ALICE), mcp: { ...operation, ...mcp }, request };
};
const call = inputFor({ method: "tools/call", name: "search_1" });
const list = inputFor({ method: "tools/list" });
const seen = visible(evaluator, list);
if (!seen.ok) throw new Error(seen.reason);

const key = makeKey("k");
const publicKey = createPublicKey({ key: key.jwk, format: "jwk" });
const signer = {
  ...WRISTBAND,
  ttlSeconds: 300,
  keys: () => [{ kid: "k", privateKey: key.privateKey, jwk: {} }],
  now: Date.now,
};
const sign = createSigner(signer);
const verifier = { ...WRISTBAND, findKey: () => publicKey, now: Date.now };
const verify = createVerifier(verifier);
const wristband = sign(ALICE, seen.value, { use: "list", merged: false });
const claims = wristband.ok ? verify(wristband.value.jws) : wristband;
if (!wristband.ok || !claims.ok) throw new Error("no wristband");
const { jws } = wristband.value;
const view = {
  snapshot,
  offers: null,
  virtualServer: null,
  search: false,
  sessions: false,
  pageEntries: Infinity,
  server: "s",
  wristband: claims.value,
  now: Date.now(),
};
const operation = {
  id: 1,
  method: "tools/list",
  class: "list",
  kind: "tool",
  name: null,
  arguments: {},
  version: "2025-11-25",
} as const;
const page = housekeeping(operation, {}, view);
if (!page.ok) throw new Error(page.reason);

const ports = allowingPorts({
  decide: (input) => decide(evaluator, input),
  visible: (input) => {
    const names = visible(evaluator, input);
    return names.ok ? pass({ revision: evaluator.revision, names: names.value }) : names;
  },
  signWristband: sign,
  identify: () => pass(ALICE),
});
const check = createCheck(checkSettings(), ports);
const asks = (method: string, params: object) => requestOf({ message: { jsonrpc: "2.0", id: 1, method, params } });
const requests = { call: asks("tools/call", { name: "search_1" }), list: asks("tools/list", {}) };
const never = new AbortController().signal;

let subject = 0;
const steps: Readonly<Record<string, () => unknown>> = {
  "policy: one decision": () => decide(evaluator, call),
  [`policy: ${NAMES} names asked`]: () => visible(evaluator, list),
  "wristband: signed before": () => sign(ALICE, seen.value, { use: "list", merged: false }),
  "wristband: signed anew": () =>
    sign({ ...ALICE, subject: `u${(subject += 1)}` }, seen.value, { use: "list", merged: false }),
  "whole Check of a call (no token)": () => check(requests.call, newCheckFacts("r", 0), never),
  "whole Check of a list (no token)": () => check(requests.list, newCheckFacts("r", 0), never),
  "broker: wristband known": () => verify(jws),
  "broker: wristband new": () => createVerifier(verifier)(jws),
  "broker: filter and page": () => housekeeping(operation, {}, view),
  "broker: text to bytes": () => Buffer.from(page.value),
};

const timed = Object.entries(steps).map(([name, step]) => ({
  name,
  micros: [] as number[],
  call: async () => void (await step()),
}));
for (const { call } of timed) await drive(call, 5 * WINDOW_MS);
await inTurns(timed, WINDOWS, async ({ call, micros }) => {
  const started = performance.now();
  const count = await drive(call, WINDOW_MS);
  micros.push(((performance.now() - started) / count) * 1000);
});

console.log(`${SHOWN} of ${NAMES} names shown, ${page.value.length} bytes of list, ${jws.length} of wristband`);
console.log(`${WINDOWS} windows of ${WINDOW_MS} ms each, taking turns; µs per step, median [quartiles]`);
for (const { name, micros } of timed) console.log(`${name.padEnd(34)} ${spreadText(micros, 1).padStart(24)}`);
