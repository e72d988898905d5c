import { describe, expect, it } from "vitest";
import { headersOf } from "../../test/fakes/authz.ts";
import { MODERN } from "../mcp/versions.ts";
import { clientHeaders, droppedHeaders, NO_SERVER_HEADERS, watchedHeaders, writtenHeaders } from "./server-headers.ts";

const server = { fixed: new Map([["x-toolset", "a"]]), passes: new Set(["x-tenant"]) };
const watched = watchedHeaders([server, NO_SERVER_HEADERS]);
const dropped = (...pairs: [string, string][]) => droppedHeaders(headersOf(pairs), server, watched);

describe("headers that do not reach a server", () => {
  it("are named if they look like a restriction, or any server's configuration names them; others are not", () => {
    const sent: [string, string][] = [
      ["x-mcp-readonly", "true"],
      ["x-toolset", "b"],
      ["x-tenant", "t"],
      ["x-secret-canary", "1"],
    ];
    expect(dropped(...sent)).toEqual(["x-mcp-readonly", "x-toolset"]);
  });
});

const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
type Pairs = [string, string][];

describe("MS-08, MO-08: of a client's headers there reach a server", () => {
  it("those of MCP, a well-formed trace, and what the configuration names; nothing else", () => {
    const sent: Pairs = [
      ["mcp-protocol-version", "2025-11-25"],
      ["mcp-later", "x"],
      ["mcp-session-id", "s"],
      ["traceparent", TRACE],
      ["tracestate", "a=b"],
      ["x-tenant", "t"],
      ["x-mcp-user", "admin"],
      ["x-vault-tokens", "{}"],
      ["accept", "text/html"],
      ["mcpx", "1"],
    ];
    expect(clientHeaders(headersOf(sent), server, MODERN)).toEqual({
      ok: true,
      value: {
        protocol: new Map([
          ["mcp-protocol-version", "2025-11-25"],
          ["mcp-later", "x"],
          ["traceparent", TRACE],
          ["tracestate", "a=b"],
        ]),
        passed: new Map([["x-tenant", "t"]]),
      },
    });
  });

  it("those that mirror the body in the stateless revision alone", () => {
    const sent = headersOf([
      ["mcp-method", "tools/call"],
      ["mcp-name", "echo"],
      ["mcp-later", "x"],
    ]);
    const names = (version: string) => {
      const read = clientHeaders(sent, server, version);
      return read.ok ? [...read.value.protocol.keys()] : [];
    };
    expect(names(MODERN)).toEqual(["mcp-method", "mcp-name", "mcp-later"]);
    expect(names("2025-11-25")).toEqual(["mcp-later"]);
  });

  it.each([`${TRACE}-evil`, "", TRACE.toUpperCase(), "evil"])("no trace that is none: %s", (value) => {
    const read = clientHeaders(headersOf([["traceparent", value]]), server, MODERN);
    expect(read).toMatchObject({ ok: true, value: { protocol: new Map() } });
  });

  it.each([
    ["a=b", 2],
    ["vendor@sys=t61rcWkgMzE,b=2 3, c=~", 2],
    [Array.from({ length: 32 }, (_, i) => `k${i}=v`).join(), 2],
    [Array.from({ length: 33 }, (_, i) => `k${i}=v`).join(), 1],
    [`a=${"b".repeat(511)}`, 1],
    ["canary", 1],
    ["a=", 1],
    ["A=b", 1],
    ["a=b=c", 1],
    ["a=b,,c=d", 1],
    ["a=\u00e9", 1],
    ["a=b ", 1],
    ["", 1],
  ])("CF-24: a trace's state goes with it if it is well formed: %s", (state, size) => {
    const read = (...sent: Pairs) => {
      const result = clientHeaders(headersOf(sent), server, MODERN);
      return result.ok ? result.value.protocol.size : -1;
    };
    expect(read(["traceparent", TRACE], ["tracestate", state])).toBe(size);
    expect(read(["tracestate", state]), "alone").toBe(0);
    expect(read(["tracestate", state], ["traceparent", "evil"]), "with none").toBe(0);
  });

  it.each([
    ["0af76519-16cd-43dd-8448-eb211c80319c", 1],
    ["0AF76519-16CD-43DD-8448-EB211C80319C", 0],
    ["evil", 0],
  ])("the data plane's id of the request, of whatever else nothing: %s", (value, size) => {
    const read = clientHeaders(headersOf([["x-request-id", value]]), server, MODERN);
    expect(read.ok && read.value.protocol.size).toBe(size);
  });

  describe.each(["x-tenant", "mcp-later", "mcp-name"])("%s", (name) => {
    it.each<[string, string[]]>([
      ["twice", ["a", "b"]],
      ["empty", [""]],
      ["with a byte beyond ASCII", ["\u00e9"]],
      ["with a tab", ["a\tb"]],
    ])("that comes %s is refused", (_, values) => {
      const read = clientHeaders(headersOf(values.map((value) => [name, value])), server, MODERN);
      expect(read).toMatchObject({ ok: false, reason: "header_malformed" });
    });
  });

  it.each([
    [undefined, "application/json, text/event-stream"],
    ["text/event-stream;evil=1, application/json", "application/json, text/event-stream"],
    ["application/json; q=1, evil/evil", "application/json"],
    ["text/event-stream", "text/event-stream"],
    ["evil", "application/json"],
  ])("of accept %s the media types alone: %s", (sent, arrives) => {
    const headers = headersOf(sent === undefined ? [] : [["accept", sent]]);
    expect([...writtenHeaders(headers)]).toEqual([
      ["accept", arrives],
      ["content-type", "application/json"],
    ]);
  });
});
