// One policy, every front door: the same decision, reason and visible list, whatever door the same caller asks the same through.
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { AuditRecord } from "../../src/authz/audit-record.ts";
import { createCheck } from "../../src/authz/check.ts";
import { createPipeline } from "../../src/authz/pipeline.ts";
import { newCheckFacts } from "../../src/authz/facts.ts";
import type { Ports } from "../../src/authz/ports.ts";
import { pass, refuse } from "../../src/authz/step.ts";
import type { AuthzRequest, Identity, Visible } from "../../src/authz/types.ts";
import { evaluateAll } from "../../src/authzen/evaluate.ts";
import type { SubjectAsked } from "../../src/authzen/question.ts";
import { readEvaluations } from "../../src/authzen/read-request.ts";
import { createDecisions } from "../../src/authz/decision-call.ts";
import { decisionOf } from "../../src/authz/audit-record.ts";
import { CHECK_CODEC, type CheckCodec } from "../../src/envoy/check-codec.ts";
import { createCheckHandler } from "../../src/envoy/check-handler.ts";
import { fromCheckRequest } from "../../src/envoy/from-check-request.ts";
import { REFERENCE_CODEC } from "../../src/envoy/grpc-js/check-codec.ts";
import { captureInput } from "../../src/explain/call.ts";
import { createExtMcp } from "../../src/extmcp/handler.ts";
import { createTickets } from "../../src/extmcp/ticket.ts";
import { createVouched } from "../../src/identity/vouched.ts";
import type { Kind } from "../../src/mcp/operation.ts";
import { artifact } from "../../src/policy/artifact.ts";
import { compilePolicy } from "../../src/policy/compile.ts";
import { decide, visible } from "../../src/policy/decision.ts";
import { createEvaluator, UNWATCHED, type Evaluator } from "../../src/policy/evaluator.ts";
import { findOpa } from "../../src/policy/opa.ts";
import type { SigningKey } from "../../src/wristband/keys.ts";
import { ALICE, allowingPorts, checkSettings } from "../fakes/authz.ts";
import { checkMessage, codecs, FULL_PROTO } from "../fakes/check-request.ts";
import { clientHeaders, effectOf, mcpRequest, mcpResponse, PATHS } from "../fakes/ext-mcp.ts";
import { someInFlight } from "../fakes/handover.ts";
import { makeKey } from "../fakes/issuer.ts";

const CASES = 1000;
const SEED = 20_261_130;
const { request: checkRequest } = codecs(FULL_PROTO);

const POLICY = `package mcp.authz

import data.mcp_authz

grants := {
	"engineering": {"s": ["read*", "write", "docs://*"], "t": ["*"]},
	"finance": {"t": ["report", "sum"]},
}

granted if {
	some group in input.identity.groups
	some pattern in grants[group][input.mcp.server]
	mcp_authz.matches(pattern, input.mcp.name)
}

small if not input.mcp.arguments.amount
small if input.mcp.arguments.amount <= 100

allow if { granted; small; input.request.headers["x-tenant"] != "closed" }
allow if { granted; small; not input.request.headers["x-tenant"] }

required_scopes := {"mcp:write"} if input.mcp.name == "write"
step_up := {"acr_values": ["urn:mfa"], "max_age": 3600} if input.mcp.name == "report"
`;

const NAMES = {
  s: { tools: ["read", "read_all", "write", "secret"], prompts: ["sum"], resources: ["docs://a", "file:///x"] },
  t: { tools: ["read", "report", "x"], prompts: ["sum"], resources: ["docs://a"] },
};
type Server = keyof typeof NAMES;
const LISTS = { tool: "tools", prompt: "prompts", resource: "resources" } as const;

const NAME_REST = ["sum", "docs://a", "file:///x", "docs://zz", "nobody"];

const caller = fc.record({
  groups: fc.subarray(["engineering", "finance", "guests"]),
  scopes: fc.subarray(["mcp:read", "mcp:write"]),
  acr: fc.constantFrom(null, "urn:mfa"),
});
const question = fc.record({
  caller,
  token: fc.constantFrom("good", "good", "good", "good", "good", "none", "bad", "expired"),
  server: fc.constantFrom<Server>("s", "t"),
  place: fc.constantFrom("own", "merged", "virtual"),
  kind: fc.constantFrom<Kind>("tool", "tool", "prompt", "resource"),
  isList: fc.boolean(),
  name: fc.constantFrom(
    ...["read", "read_all", "write", "write", "write", "secret", "report", "report", "x"],
    ...NAME_REST,
  ),
  amount: fc.constantFrom(null, 5, 500),
  tenant: fc.constantFrom(null, "open", "closed"),
  credential: fc.constantFrom("has", "has", "has", "none"),
});
type Question = typeof question extends fc.Arbitrary<infer T> ? T : never;

/** What is compared. */
interface Told {
  readonly decision: string;
  readonly reason: string | null;
  /** Of a list that is allowed: the names shown, by server. */
  readonly shown: Readonly<Record<string, readonly string[]>> | null;
}

let evaluator: Evaluator;
beforeAll(async () => {
  const rules = await compilePolicy({ files: [{ path: "policy.rego", text: POLICY }], rego: "v1", findOpa });
  evaluator = createEvaluator(artifact(rules, "{}"), { servers: NAMES }, UNWATCHED);
});

const METHODS = { tool: "tools/call", prompt: "prompts/get", resource: "resources/read" } as const;
const methodOf = ({ kind, isList }: Question) => (isList ? `${LISTS[kind]}/list` : METHODS[kind]);
const pathOf = ({ place, server }: Question) =>
  ({ own: `/servers/${server}/mcp`, merged: "/mcp", virtual: "/servers/v/mcp" })[place];
const servicesOf = ({ isList, place, server }: Question): Server[] =>
  isList && place !== "own" ? ["s", "t"] : [server];

function paramsOf({ kind, amount }: Question, name: string): object {
  if (kind === "resource") return { uri: name };
  return { name, arguments: amount === null ? {} : { amount } };
}

function portsOf({ caller: of, credential }: Question, more: Partial<Ports> = {}): Ports {
  const authTime = of.acr === null ? null : Math.floor(Date.now() / 1000) - 60;
  const identity: Identity = { ...ALICE, ...of, authTime };
  return allowingPorts({
    identify: (bearer) =>
      bearer === "good" ? pass(identity) : refuse(bearer === "expired" ? "token_expired" : "token_invalid"),
    decide: (input) => decide(evaluator, input),
    visible: (input) => {
      const names = visible(evaluator, input);
      return names.ok ? pass({ revision: evaluator.revision, names: names.value }) : names;
    },
    ...(credential === "none" && { fetchCredential: () => refuse("credential_missing") }),
    ...more,
  });
}

const settings = checkSettings({ policyHeaders: ["x-tenant"] });
const KEY = makeKey("k1") as unknown as SigningKey;
const inFlight = someInFlight();
const tickets = createTickets(() => [KEY], Date.now);
const decisionPorts = (records: AuditRecord[]) => ({
  audit: (record: AuditRecord) => (records.push(record), Promise.resolve(true)),
  observe: () => {},
  now: Date.now,
  newRequestId: () => "r",
  inFlight,
});
const answers = { publicOrigin: "https://gw.example.com", scopes: [], denial: "jsonrpc" } as const;
const call = { deadlineMs: 10_000, onGone: () => {} };

/** The name under which the place has it. */
function nameAt({ place, server, kind, name }: Question): string {
  const names = settings.resolver.namesOf(server);
  return (place === "own" ? names.shownName(kind, name) : names.publicName(kind, name)) ?? name;
}

function checkBytes(of: Question): Buffer {
  const params = of.isList ? {} : { params: paramsOf(of, nameAt(of)) };
  const headers = {
    ...(of.token !== "none" && { authorization: `Bearer ${of.token}` }),
    ...(of.tenant !== null && { "x-tenant": of.tenant }),
    "mcp-protocol-version": "2025-11-25",
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: methodOf(of), ...params });
  return checkRequest.encode(checkMessage({ body, headers, path: pathOf(of) }));
}

async function byExtAuthz(of: Question, codec: CheckCodec): Promise<Told> {
  const records: AuditRecord[] = [];
  let signed: Visible | null = null;
  const ports = portsOf(of, {
    signWristband: (_, names) => {
      signed = names;
      return pass({ jws: "wrist.band.jws", jti: "j1", leftOut: [] });
    },
  });
  const handler = createCheckHandler({
    ...decisionPorts(records),
    check: createCheck(settings, ports),
    codec,
    answers,
  });
  await handler(checkBytes(of), call);
  return toldOf(records, of, of.isList && signed !== null ? (signed as Visible)[LISTS[of.kind]] : {});
}

function toldOf(records: readonly AuditRecord[], of: Question, names: Visible["tools"]): Told {
  const { decision = "", reason = null } = records.at(-1) ?? {};
  const shown = Object.entries(names).flatMap(([server, list]) =>
    list.length > 0 ? [[server, list.toSorted()] as const] : [],
  );
  return { decision, reason, shown: of.isList && decision === "allow" ? Object.fromEntries(shown) : null };
}

async function byExtMcp(of: Question): Promise<Told> {
  const records: AuditRecord[] = [];
  const pipeline = createPipeline(settings, portsOf(of));
  const methods = createExtMcp({
    ...decisionPorts(records),
    pipeline: () => pipeline,
    tickets,
    prefixMode: "conditional",
    answers,
  });
  const ask = async (path: string, bytes: Buffer) =>
    effectOf((await methods.get(path)?.handler(bytes, call)) ?? Buffer.alloc(0));
  const headers = clientHeaders(of.token === "none" ? null : of.token, pathOf(of));
  if (of.tenant !== null) headers.push(["x-tenant", of.tenant]);
  const services = servicesOf(of);
  const method = methodOf(of);
  const params = of.isList ? {} : { params: paramsOf(of, of.name) };
  const asked = await ask(PATHS.request, mcpRequest({ services, method, headers, ...params }));
  if (!of.isList || asked.kind !== "pass") return toldOf(records, of, {});
  return listed(of, records, async (result) =>
    ask(PATHS.response, mcpResponse({ services, method, result, metadata: { mcp_authz: asked.ticket } })),
  );
}

/** The list as agentgateway has it of its targets, and what is left of it. */
async function listed(
  of: Question,
  records: readonly AuditRecord[],
  filter: (result: object) => Promise<ReturnType<typeof effectOf>>,
): Promise<Told> {
  const services = servicesOf(of);
  const member = LISTS[of.kind];
  const key = of.kind === "resource" ? "uri" : "name";
  const mark = of.kind === "resource" ? "+" : "_";
  const prefixOf = (server: string) => (services.length > 1 ? `${server}${mark}` : "");
  const result = {
    [member]: services.flatMap((server) =>
      NAMES[server][member].map((name) => ({ [key]: `${prefixOf(server)}${name}` })),
    ),
  };
  const effect = await filter(result);
  const left = (effect.kind === "mutated" ? effect.json : result) as Record<string, Record<string, string>[]>;
  const shown = (left[member] ?? []).map((entry) => entry[key] ?? "");
  const names = Object.fromEntries(
    services.map((server) => {
      const prefix = prefixOf(server);
      return [server, shown.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))];
    }),
  );
  return toldOf(records, of, names);
}

const hourAway = (hours: number) => Math.floor(Date.now() / 1000) + 3600 * hours;

/** What the asking party has read in the caller's token. */
function claimsOf({ caller: { groups, scopes, acr }, token }: Question): object {
  const authentication = acr === null ? {} : { acr, auth_time: hourAway(0) - 60 };
  const fault = { bad: { iss: "https://other.example.com" }, expired: { exp: hourAway(-1) } }[token as string] ?? {};
  return { sub: ALICE.subject, groups, scope: scopes.join(" "), aud: AUDIENCE, ...authentication, ...fault };
}

const AUDIENCE = "https://gw.example.com/mcp";
const vouched = createVouched({
  issuers: [
    {
      ...{ issuer: ALICE.issuer, audiences: [AUDIENCE], audienceClaim: null, tokenType: "at+jwt", dpop: "off" },
      claims: { username: "preferred_username", groups: "groups", scopes: "scope" },
    },
  ],
  now: Date.now,
  revoked: () => null,
});

/** Nobody speaks of a caller who shows nothing, and virtual servers cannot be asked about. */
const canAskAuthzen = ({ token, place }: Question) => token !== "none" && place !== "virtual";

function evaluationBytes(of: Question): Buffer {
  const id = of.place === "own" ? of.server : "all";
  const endpoint = { type: of.place === "own" ? "server" : "gateway", id };
  const properties = {
    ...(of.place === "own" && { server: of.server }),
    ...(of.kind !== "resource" && { arguments: of.amount === null ? {} : { amount: of.amount } }),
  };
  return Buffer.from(
    JSON.stringify({
      subject: { type: "user", id: ALICE.subject, properties: { claims: claimsOf(of) } },
      action: { name: methodOf(of) },
      resource: of.isList ? endpoint : { type: of.kind, id: nameAt(of), properties },
      ...(of.tenant !== null && { context: { headers: { "x-tenant": of.tenant } } }),
    }),
  );
}

async function byAuthzen(of: Question): Promise<Told> {
  const records: AuditRecord[] = [];
  const pipeline = createPipeline(settings, portsOf(of));
  const about = {
    pipeline,
    vouched: ({ id, ...said }: SubjectAsked, at: readonly string[]) => vouched({ subject: id, ...said }, at),
  };
  const asked = readEvaluations(evaluationBytes(of), false);
  if (!asked.ok) throw new Error("no evaluation");
  const ports = {
    ...{ decisions: createDecisions(decisionPorts(records)), checkTimeoutMs: call.deadlineMs, now: Date.now },
    inForce: () => ({ ...about, wantsCredential: () => true, host: "gw.example.com" }),
  };
  const asking = { askedBy: "pep", peer: "192.0.2.1", requestId: null, traceId: null, onGone: call.onGone };
  const [answer] = await evaluateAll(ports, asking, asked.value);
  const { visible: names } = (answer?.context ?? {}) as { readonly visible?: Visible };
  const told = toldOf(records, of, names?.[LISTS[of.kind]] ?? {});
  expect([of, answer?.decision]).toEqual([of, told.decision === "allow"]);
  return told;
}

/** The two steps of `why`: the policy input by serve's own pipeline, and the pipeline with what policy says of it. */
async function byWhy(of: Question): Promise<Told> {
  const request = fromCheckRequest(checkBytes(of), CHECK_CODEC.decode);
  if (!request.ok) throw new Error("no request");
  const { identify, identifyKey, fetchCredential } = portsOf(of);
  const signal = new AbortController().signal;
  const { input, outcome } = await captureInput(
    { settings, identify, identifyKey, at: Date.now() },
    request.value,
    signal,
  );
  const judged =
    input === null
      ? outcome
      : await judgedBy(request.value, { identify, fetchCredential, decide: () => decide(evaluator, input) });
  return {
    decision: judged.ok ? "allow" : decisionOf(judged.reason),
    reason: judged.ok ? null : judged.reason,
    shown: null,
  };
}

const judgedBy = (request: AuthzRequest, ports: Partial<Ports>) =>
  createCheck(settings, allowingPorts(ports))(request, newCheckFacts("why", Date.now()), new AbortController().signal);

describe("one corpus through every door", () => {
  const corpus = fc.sample(question, { numRuns: CASES, seed: SEED });

  it(`${CASES} (identity, call): ext_authz by both wire stacks, ExtMcp, AuthZEN and why tell the same`, async () => {
    const seen = new Map<string, number>();
    for (const of of corpus) {
      const told = await byExtAuthz(of, CHECK_CODEC);
      expect([of, await byExtAuthz(of, REFERENCE_CODEC)]).toEqual([of, told]);
      expect([of, await byExtMcp(of)]).toEqual([of, told]);
      if (canAskAuthzen(of)) expect([of, await byAuthzen(of)]).toEqual([of, told]);
      if (!of.isList) expect([of, await byWhy(of)]).toEqual([of, told]);
      const key = `${of.isList ? "list" : "call"} ${told.reason ?? told.decision}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    // The corpus is worth something only while each of these is in it.
    for (const key of [
      "call allow",
      "list allow",
      "call policy_denied",
      "call scope_insufficient",
      "call authentication_insufficient",
      "call credential_missing",
      "call token_missing",
      "list token_expired",
    ])
      expect([key, (seen.get(key) ?? 0) > 0]).toEqual([key, true]);
  }, 120_000);
});
