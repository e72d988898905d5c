// One test per fault of a gateway that clients met: each is a rule of the specification that a relay breaks easily.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isMissing } from "./expectations.ts";
import { startConformanceLab, type ConformanceLab } from "./lab.ts";
import { modernRequest, olderRequest, send, withHeaders, type Sent } from "./raw.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-conformance-"));
const B = "/servers/fixture/mcp";
const DIRECT = "/servers/direct/mcp";
let lab: ConformanceLab;

beforeAll(async () => {
  lab = await startConformanceLab(folder);
});
afterAll(async () => {
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
});

const at = (path: string, sent: Sent) => send(lab.proxy + path, sent);
const call = (name: string, args: object = {}) => ({ name, arguments: args });

/** What is not done yet must fail: its line is taken out with the mend. */
const holds = (title: string, run: () => Promise<void>) => (isMissing("defects", title) ? it.fails : it)(title, run);

describe("a request of a server to a client that cannot answer", () => {
  holds("defect 1: ends the call at once", async () => {
    const sent = olderRequest("tools/call", call("test_elicitation", { message: "?" }));
    expect((await at("/servers/older/mcp", { ...sent, timeoutMs: 5000 })).status).toBe(200);
  });

  holds("defect 2: is an error under 200 for a client of an older revision", async () => {
    const sent = olderRequest("tools/call", call("test_input_required_result_elicitation"));
    const reply = await at(B, sent);
    expect([reply.status, reply.message?.error]).toEqual([200, expect.anything()]);
  });
});

holds("defect 3: no log message of a server for a client that set no level", async () => {
  const reply = await at("/servers/older/mcp", modernRequest("tools/call", call("test_tool_with_logging")));
  expect(reply.message?.result).toBeDefined();
  expect(reply.text).not.toContain("notifications/message");
});

const odd = { "io.modelcontextprotocol/protocolVersion": "v999.0.0" };

holds("defect 4: -32022 says which revision was asked for", async () => {
  const sent = withHeaders(modernRequest("server/discover", {}, odd), { "mcp-protocol-version": "v999.0.0" });
  const { message } = await at(B, sent);
  expect([message?.error?.code, message?.error?.data?.["requested"]]).toEqual([-32022, "v999.0.0"]);
});

holds("defect 5: a header and a body of two revisions are -32020", async () => {
  const { status, message } = await at(B, modernRequest("server/discover", {}, odd));
  expect([status, message?.error?.code]).toEqual([400, -32020]);
});

for (const method of ["ping", "initialize", "logging/setLevel", "resources/subscribe"]) {
  holds(`defect 6: ${method} is not in 2026-07-28`, async () => {
    const { status, message } = await at(B, modernRequest(method));
    expect([status, message?.error?.code]).toEqual([404, -32601]);
  });
}

holds("defect 7: the result of discover says who serves in its _meta", async () => {
  const { message } = await at(B, modernRequest("server/discover"));
  expect((message?.result?.["_meta"] as object | undefined) ?? {}).toHaveProperty([
    "io.modelcontextprotocol/serverInfo",
  ]);
});

describe("a mirrored argument", () => {
  const cases: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ["contradicts the body", { "mcp-param-region": "eu" }],
    ["is no Base64", { "mcp-param-region": "=?base64?dX!!M=?=" }],
    ["is missing", {}],
  ];
  const server = modernRequest("tools/call", call("test_x_mcp_header", { region: "us" }));
  const merged = modernRequest("tools/call", call("fixture_test_x_mcp_header", { region: "us" }));
  const endpoints = [
    [B, server],
    [DIRECT, server],
    ["/mcp", merged],
  ] as const;
  for (const [endpoint, request] of endpoints) {
    for (const [what, headers] of cases)
      holds(`defect 8: ${endpoint}: N-03: that ${what} is 400 and -32020, by the gateway`, async () => {
        const { status, message } = await at(endpoint, withHeaders(request, headers));
        expect([status, message?.error?.code, message?.error?.message]).toEqual([
          400,
          -32020,
          expect.stringContaining("A header does not agree with the body: mcp-param-region"),
        ]);
      });

    it(`${endpoint}: that agrees is relayed`, async () => {
      const { status, text } = await at(endpoint, withHeaders(request, { "mcp-param-region": "us" }));
      expect([status, text]).toEqual([200, expect.stringContaining("region=us")]);
    });
  }
});

holds("defect 9: /mcp has the prompts of its servers", async () => {
  const { message } = await at("/mcp", modernRequest("prompts/list"));
  const names = ((message?.result?.["prompts"] ?? []) as { name: string }[]).map(({ name }) => name);
  expect(names).toContain("test_simple_prompt");
});

describe("a server on the direct route", () => {
  holds("D10: of the older revisions is not announced with a newer one", async () => {
    const { message } = await at("/servers/older-direct/mcp", modernRequest("server/discover"));
    expect(message?.result?.["supportedVersions"] ?? []).not.toContain("2026-07-28");
  });

  holds("D10: that wants a session is called, or is not offered", async () => {
    const { status } = await at("/servers/direct/mcp", olderRequest("tools/call", call("test_simple_text")));
    expect(status).toBe(200);
  });
});

holds("D13: a client of 2024-11-05 is greeted in its revision", async () => {
  const params = { protocolVersion: "2024-11-05", capabilities: {}, clientInfo: { name: "t", version: "1" } };
  const { message } = await at(B, { body: { jsonrpc: "2.0", id: 1, method: "initialize", params } });
  expect(message?.result?.["protocolVersion"]).toBe("2024-11-05");
});
