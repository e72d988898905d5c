import { describe, expect, it } from "vitest";
import { headersOf } from "../../test/fakes/authz.ts";
import { droppedHeaders, NO_SERVER_HEADERS, watchedHeaders } from "./server-headers.ts";

const server = { fixed: new Map([["x-toolset", "a"]]), passes: new Set(["x-tenant"]) };
const watched = watchedHeaders([server, NO_SERVER_HEADERS]);
const dropped = (...pairs: [string, string][]) => droppedHeaders(headersOf(pairs), server, watched);

describe("B05: headers that do not reach a server", () => {
  it("are named if they look like a restriction, or any server's configuration names them; others are not", () => {
    const sent: [string, string][] = [
      ["x-mcp-readonly", "true"],
      ["x-toolset", "b"],
      ["x-tenant", "t"],
      ["x-secret-canary", "1"],
    ];
    expect(dropped(...sent)).toEqual({ ok: true, value: ["x-mcp-readonly", "x-toolset"] });
  });
  it.each<[string, [string, string][]]>([
    [
      "twice",
      [
        ["x-tenant", "a"],
        ["x-tenant", "b"],
      ],
    ],
    ["empty", [["x-tenant", ""]]],
    ["with a byte beyond ASCII", [["x-tenant", "é"]]],
    ["with a tab", [["x-tenant", "a\tb"]]],
  ])("one that passes but comes %s is refused", (_, sent) => {
    expect(dropped(...sent)).toMatchObject({ ok: false, reason: "header_malformed" });
  });
});
