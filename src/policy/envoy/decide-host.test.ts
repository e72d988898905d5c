// Policies in the form of opa-envoy-plugin, compiled and asked as serve does it; and what a folder without their rule says.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ALICE, headersOf } from "../../../test/fakes/authz.ts";
import { createPolicyCallers } from "../../authz/policy-input.ts";
import type { HostQuestion } from "../../authz/host-decision.ts";
import { findTool } from "../../files/program.ts";
import { buildBundle } from "../build.ts";
import { UNWATCHED } from "../evaluator.ts";
import { loadPolicy } from "../load.ts";
import { findOpa } from "../opa.ts";
import { createPolicyStore, type PolicyStore } from "../store.ts";

const opa = findTool("opa");
const root = mkdtempSync(join(tmpdir(), "mcp-authz-envoy-policy-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

function folderOf(files: Readonly<Record<string, string>>): string {
  folders += 1;
  const folder = join(root, `p${folders}`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

const OURS = 'package mcp.authz\n\nallow if input.identity.subject == "alice-sub"\n';
const ENVOY = { package: "envoy.authz", rule: "allow", truncatedBody: "ask" } as const;
const source = (path: string, more: object = {}) => ({ path, rego: "v1" as const, envoy: ENVOY, findOpa, ...more });

/** The form of the plugin's quick start and tutorials: booleans and objects, by method, path, query, body and caller. */
const DROP_IN = `package envoy.authz

import input.attributes.request.http

default allow := false

allow if {
	http.method == "GET"
	glob.match("/public/*", ["/"], http.path)
}

allow if input.parsed_path == ["api", "v1", "products"]

allow if input.parsed_query.token[_] == "open"

allow if {
	input.parsed_body.dept.it == "eng"
	input.source_principal == "spiffe://test-domain/test"
}

allow := {"allowed": true, "headers": {"x-user": input.identity.subject}, "request_headers_to_remove": ["x-debug"]} if {
	input.parsed_path[0] == "mine"
	"engineering" in input.identity.groups
}

allow := {"allowed": false, "http_status": 401, "body": "who are you?", "headers": {"www-authenticate": "Basic"}} if {
	input.parsed_path[0] == "mine"
	not input.identity
}

allow := {"allowed": false, "body": "too long"} if input.truncated_body

allow := input.parsed_body.answer

allow if concat("", [input.attributes.source.service, input.version.ext_authz]) == "webv3"

allow := x if {
	http.path == "/conflict"
	some x in [true, false]
}
`;

interface Parts {
  readonly path: string;
  readonly query?: string;
  readonly method?: string;
  readonly json?: unknown;
  readonly caller?: boolean;
  readonly partial?: boolean;
  readonly principal?: string;
  readonly service?: string;
}

function questionOf({
  path,
  query,
  method = "GET",
  json,
  caller,
  partial = false,
  principal = "",
  service,
}: Parts): HostQuestion {
  const bytes = Buffer.from(JSON.stringify(json) ?? "");
  const body = partial
    ? { kind: "partial" as const }
    : json === undefined
      ? { kind: "none" as const }
      : { kind: "text" as const, bytes };
  return {
    request: {
      ...{
        method,
        path,
        query: query ?? null,
        host: "gw",
        headers: headersOf([["content-type", "application/json"]]),
        body,
        principal,
      },
      ...{ peer: "192.0.2.7", attributes: () => (service === undefined ? {} : { source: { service } }) },
    },
    caller: caller === true ? createPolicyCallers()(ALICE) : null,
    described: { host: "gw", path, sourceIp: "192.0.2.7", time: 0, headers: {} },
    hidden: new Set(),
  };
}

describe.skipIf(opa === null)("a policy written for opa-envoy-plugin, beside ours", () => {
  let store: PolicyStore;
  beforeAll(async () => {
    const path = folderOf({ "mcp.rego": OURS, "envoy.rego": DROP_IN });
    store = await createPolicyStore({
      ...source(path),
      guard: UNWATCHED,
      quarantined: null,
      kept: null,
      onReload: () => {},
    });
  }, 120_000);
  afterAll(() => store.close());

  const verdictOf = (parts: Parts) => {
    const decision = store.decideHost(questionOf(parts));
    return decision.ok ? decision.value.allow : `${decision.reason}: ${decision.detail ?? ""}`;
  };

  it.each<[Parts, boolean]>([
    [{ path: "/public/a" }, true],
    [{ path: "/public/a/b" }, false],
    [{ path: "/public/a", method: "POST" }, false],
    [{ path: "/api/v1/products" }, true],
    [{ path: "/api/v1" }, false],
    [{ path: "/x", query: "token=shut&token=open" }, true],
    [{ path: "/x", query: "token=shut" }, false],
    [{ path: "/x", json: { dept: { it: "eng" } }, principal: "spiffe://test-domain/test" }, true],
    [{ path: "/x", json: { dept: { it: "eng" } }, principal: "spiffe://other/test" }, false],
    [{ path: "/x", json: { dept: { it: "eng" } } }, false],
    [{ path: "/mine", caller: true }, true],
    [{ path: "/mine" }, false],
    [{ path: "/x", partial: true }, false],
    [{ path: "/x", service: "web" }, true],
  ])("%j is %s", (parts, expected) => expect(verdictOf(parts)).toBe(expected));

  it("objects say what goes to the server and to the client", () => {
    const [mine, nobody] = [questionOf({ path: "/mine", caller: true }), questionOf({ path: "/mine" })];
    expect(store.decideHost(mine)).toMatchObject({
      value: { headers: new Map([["x-user", ["alice-sub"]]]), remove: ["x-debug"], revision: store.revision() },
    });
    expect(store.decideHost(nobody)).toMatchObject({
      value: { answer: { status: 401, body: "who are you?", headers: new Map([["www-authenticate", ["Basic"]]]) } },
    });
  });

  it.each([["hello"], [1], [{}], [{ allowed: "true" }], [[true]], [{ allowed: true, headers: 1 }]])(
    "an answer of another type is refused with a reason of the table: %j",
    (answer) => expect(verdictOf({ path: "/x", json: { answer } })).toMatch(/^policy_unavailable: /),
  );

  it("an evaluation that fails is refused, and the next one is answered", () => {
    expect(verdictOf({ path: "/conflict" })).toMatch(/^policy_unavailable: /);
    expect(verdictOf({ path: "/public/a" })).toBe(true);
  });

  it("an input that has no room is refused, and the next one is answered", () => {
    const huge = Array.from({ length: 4000 }, (_, i) => ({ [`n${i}`]: "x".repeat(2000) }));
    expect(String(verdictOf({ path: "/x", json: huge }))).toMatch(/^policy_unavailable: |^false$/);
    expect(verdictOf({ path: "/public/a" })).toBe(true);
  });

  it("the package of ours decides MCP calls as before", () => {
    const mcp = {
      method: "tools/call",
      server: "s",
      kind: "tool",
      name: "x",
      arguments: {},
      version: "2025-11-25",
    } as const;
    const { described } = questionOf({ path: "/mcp" });
    const asked = (subject: string) =>
      store.decide({ identity: { ...createPolicyCallers()(ALICE), subject }, mcp, request: described });
    expect(asked("alice-sub")).toMatchObject({ value: { allow: true } });
    expect(asked("bob")).toMatchObject({ value: { allow: false } });
  });
});

describe.skipIf(opa === null)("what is loaded", () => {
  it("an undefined decision is a refusal", async () => {
    const path = folderOf({ "p.rego": 'package envoy.authz\n\nallow if input.parsed_path == ["a"]\n' });
    const store = await createPolicyStore({
      ...source(path, { mode: "envoy" }),
      ...{ guard: UNWATCHED, quarantined: null, kept: null, onReload: () => {} },
    });
    expect(store.decideHost(questionOf({ path: "/a" }))).toMatchObject({ value: { allow: true } });
    expect(store.decideHost(questionOf({ path: "/b" }))).toMatchObject({
      reason: "policy_unavailable",
      detail: "the decision is undefined",
    });
    store.close();
  });

  it("the whole package may be the decision", async () => {
    const path = folderOf({ "p.rego": 'package istio.authz\n\nallowed := true\n\nheaders := {"x-a": "b"}\n' });
    const loaded = await loadPolicy(
      source(path, { mode: "envoy", envoy: { ...ENVOY, package: "istio.authz", rule: null } }),
    );
    expect(loaded.artifact.entrypoint).toBe("istio/authz");
    expect(loaded.tried.allowsAnyPath).toBe(true);
    expect(loaded.findings.join()).toMatch(/istio\.authz allows a DELETE without a token/);
  });

  it.each<[string, Record<string, string>, object, RegExp]>([
    ["no package", { "p.rego": OURS }, {}, /no file has `package envoy\.authz`, which policy\.envoy\.package names/],
    [
      "no rule",
      { "p.rego": OURS, "e.rego": "package envoy.authz\n\nallowed := true\n" },
      {},
      /the package envoy\.authz has no rule `allow`/,
    ],
    [
      "no package of ours",
      { "e.rego": "package envoy.authz\n\nallow := false\n" },
      {},
      /no file has `package mcp\.authz`/,
    ],
    [
      "an answer of another type",
      { "p.rego": OURS, "e.rego": "package envoy.authz\n\nallow := 1\n" },
      {},
      /self-test failed: envoy\.authz\.allow/,
    ],
    [
      "a built-in that WASM lacks",
      {
        "p.rego": OURS,
        "e.rego":
          'package envoy.authz\n\nallow if {\n\t[_, p, _] := io.jwt.decode(input.attributes.request.http.headers.authorization)\n\tp.sub == "a"\n}\n',
      },
      {},
      /e\.rego:4: .*io\.jwt\.decode is not there in WASM: .*input\.identity\.claims/,
    ],
    [
      "the clock",
      { "p.rego": OURS, "e.rego": "package envoy.authz\n\nallow if time.now_ns() > 0\n" },
      {},
      /time\.now_ns is not there in WASM: the time is input\.request\.time/,
    ],
  ])("%s is told with what to do", async (_, files, more, message) => {
    await expect(loadPolicy(source(folderOf(files), more))).rejects.toThrow(message);
  });

  it("rules that read truncated_body where such bodies are refused are told", async () => {
    const path = folderOf({
      "p.rego": OURS,
      "e.rego": "package envoy.authz\n\ndefault allow := false\n\nallow if not input.truncated_body\n",
    });
    const loaded = await loadPolicy(source(path, { envoy: { ...ENVOY, truncatedBody: "refuse" } }));
    expect(loaded.findings).toContainEqual(expect.stringMatching(/^e\.rego:5: truncated_body is never true/));
    expect(loaded.findings.join()).not.toMatch(/there is no/);
  });

  it("an older policy (Rego v0) loads as it is", async () => {
    const path = folderOf({
      "e.rego": 'package envoy.authz\n\ndefault allow = false\n\nallow {\n  input.parsed_path[0] == "a"\n}\n',
    });
    const loaded = await loadPolicy({ ...source(path, { mode: "envoy" }), rego: "v0" });
    expect(loaded.tried.allowsAnyPath).toBe(false);
  });

  it("a bundle needs the rule that the configuration asks", async () => {
    const dir = folderOf({ "p.rego": OURS, "e.rego": "package envoy.authz\n\ndefault allow := false\n" });
    const [without, having] = [join(root, "without.tar.gz"), join(root, "having.tar.gz")];
    await buildBundle({ dir, rego: "v1", findOpa, out: without });
    await buildBundle({ dir, rego: "v1", findOpa, out: having, envoy: ENVOY });
    await expect(loadPolicy(source(without))).rejects.toThrow(
      /built without envoy\.authz\.allow.*build-policy --envoy/,
    );
    expect((await loadPolicy(source(having))).artifact.entrypoint).toBe("envoy/authz/allow");
    await expect(loadPolicy({ ...source(having), envoy: null })).rejects.toThrow(/was not built for mcp-authz/);
  }, 120_000);
});
