import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ALICE, headersOf, MANAGED, THERE } from "../../test/fakes/authz.ts";
import { Grant, managedHeaders, type Destination } from "./grant.ts";
import { clientHeaders, NO_SERVER_HEADERS, type ServerHeaders } from "./server-headers.ts";
import { MODERN } from "../mcp/versions.ts";
import { Secret } from "../secret/secret.ts";

const proof = { identity: ALICE, decision: "housekeeping" as const };
const settings = { managed: new Set(MANAGED), wristbandHeader: "x-authorized-tools", routeHeader: null };
const credential = (value: string | null, header = "authorization") =>
  ({ kind: "static", header, value: value === null ? null : new Secret(value), destination: THERE }) as const;
const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const WRITTEN = [
  ["accept", "application/json, text/event-stream"],
  ["content-type", "application/json"],
] as const;

/** A direct call with headers of these names. */
function toServer(
  value: string | null,
  header?: string,
  names: readonly string[] = [],
  headers: ServerHeaders = NO_SERVER_HEADERS,
): Destination {
  const received = headersOf(names.map((name) => [name, name === "traceparent" ? TRACE : "*/*"]));
  const client = clientHeaders(received, headers, MODERN);
  if (!client.ok) throw new Error(client.reason);
  return { to: "server", server: "s", credential: credential(value, header), received, client: client.value, headers };
}

const responseHeaders = new Map<string, string>();

function granted(destination: Destination): Grant {
  const step = Grant.of(proof, { ...destination, responseHeaders }, settings);
  if (!step.ok) throw new Error(step.reason);
  return step.value;
}

describe("4.5: every managed header is set or removed, never both", () => {
  it("a direct upstream gets its credential and nothing of ours", () => {
    const { set, remove, route } = granted(toServer("Bearer pat"));
    expect([...set]).toEqual([...WRITTEN, ["authorization", "Bearer pat"]]);
    expect(remove).toEqual(MANAGED.filter((name) => name !== "authorization"));
    expect(route).toBe(`server:s:${THERE}`);
  });

  it("F6: of the client's headers a direct upstream gets those that the broker would pass on", () => {
    const passing = [":path", "host", "content-length", "te", "x-request-id", "accept", "content-type", "traceparent"];
    const foreign = [
      "tracestate",
      "sudo",
      "impersonate-user",
      "x-forwarded-for",
      "accept-encoding",
      "user-agent",
      "!#$%&'*+.^_`|~-",
    ];
    const received = [...passing, "mcp-name", "mcp-later", ...foreign, "authorization", "cookie"];
    const { set, remove } = granted(toServer("Bearer pat", "authorization", received));
    expect(remove).toEqual([...MANAGED.filter((name) => name !== "authorization"), ...foreign]);
    expect([...set]).toEqual([...WRITTEN, ["authorization", "Bearer pat"]]); // whatever the client wrote there
    const wristband = { jws: "a.b.c", jti: "j", leftOut: [] };
    expect(granted({ to: "broker", sessionId: null, wristband }).remove).not.toContain("sudo"); // the broker picks what it needs
  });

  it("what the client has written as the gateway would stays as it is", () => {
    const received = headersOf(WRITTEN);
    const { set, remove } = granted({ ...toServer("Bearer pat"), received } as Destination);
    expect([...set]).toEqual([["authorization", "Bearer pat"]]);
    expect(remove).toEqual(MANAGED.filter((name) => name !== "authorization"));
  });

  it("F6: whatever the names are, each stays, is set, or is removed once; a name that is no token is refused", () => {
    const token = fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,30}$/);
    fc.assert(
      fc.property(fc.uniqueArray(token, { maxLength: 200 }), (received) => {
        const { set, remove } = granted(toServer("key", "x-api-key", received));
        expect(new Set(remove).size).toBe(remove.length);
        for (const name of received)
          expect(set.has(name) || remove.includes(name) || /^(mcp-.*|accept|te|host)$/.test(name)).toBe(true);
      }),
    );
    for (const name of ["Sudo", "a b", "", "é", "a\nb"])
      expect(Grant.of(proof, { ...toServer("x", "authorization", [name]), responseHeaders }, settings)).toMatchObject({
        ok: false,
        reason: "header_malformed",
      });
  });

  it("a direct upstream gets its fixed headers and those of the client that may pass; no managed one passes", () => {
    const headers: ServerHeaders = {
      fixed: new Map([["x-mcp-toolsets", "issues"]]),
      passes: new Set(["x-mcp-readonly", "cookie", "x-api-key", "authorization"]),
    };
    const received = ["x-mcp-readonly", "x-mcp-toolsets", "x-other", "cookie", "x-api-key", "authorization"];
    const { set, remove } = granted(toServer("Bearer pat", "authorization", received, headers));
    expect([...set]).toEqual([...WRITTEN, ["x-mcp-toolsets", "issues"], ["authorization", "Bearer pat"]]);
    expect(remove).toEqual([...MANAGED.filter((name) => name !== "authorization"), "x-other"]);
  });

  it("C21: with another credential header, or none, the client's authorization is removed", () => {
    expect(granted(toServer("key", "x-api-key")).remove).toContain("authorization");
    expect(granted(toServer(null)).remove).toEqual(MANAGED);
  });

  it("the broker gets the wristband, and with a call whose it is and with what", () => {
    const wristband = { jws: "a.b.c", jti: "j", leftOut: [] };
    expect([...granted({ to: "broker", sessionId: null, wristband }).set]).toEqual([["x-authorized-tools", "a.b.c"]]);
    const relay = granted({
      to: "relay",
      sessionId: null,
      server: "s",
      credential: credential("Bearer pat"),
      wristband,
    });
    expect([...relay.set]).toEqual([
      ["x-authorized-tools", "a.b.c"],
      ["x-mcp-server", "s"],
      ["x-upstream-authorization", "Bearer pat"],
    ]);
    expect(relay.remove).toContain("authorization");
    expect(relay.route).toBe("broker");
  });

  it("P2.5-3: the wristband goes by its configured name, and a client's own of that name never goes on", () => {
    const managed = new Set(managedHeaders("x-mcp-authorized", null, ["authorization"]));
    const named = { managed, wristbandHeader: "x-mcp-authorized", routeHeader: null };
    const to = (destination: Destination) => {
      const step = Grant.of(proof, { ...destination, responseHeaders }, named);
      return step.ok ? step.value : null;
    };
    const broker = to({ to: "broker", sessionId: null, wristband: { jws: "a.b.c", jti: "j", leftOut: [] } });
    expect([...(broker?.set ?? [])]).toEqual([["x-mcp-authorized", "a.b.c"]]);
    expect(to(toServer("Bearer pat"))?.remove).toContain("x-mcp-authorized");
  });

  it("the broker is told the credential's header if it is not authorization", () => {
    const wristband = { jws: "a.b.c", jti: "j", leftOut: [] };
    const relay = (made: ReturnType<typeof credential>) =>
      granted({ to: "relay", sessionId: null, server: "s", credential: made, wristband });
    const other = relay(credential("key", "x-api-key"));
    expect([other.set.get("x-upstream-header"), other.set.get("x-upstream-authorization")]).toEqual([
      "x-api-key",
      "key",
    ]);
    expect(other.set.has("x-api-key")).toBe(false);
    for (const usual of [relay(credential("Bearer pat")), relay(credential(null, "x-api-key"))])
      expect([usual.set.has("x-upstream-header"), usual.remove.includes("x-upstream-header")]).toEqual([false, true]);
  });

  it("PO-01: a credential of two headers, and who calls beside it, on both routes", () => {
    const parts = {
      more: [{ header: "x-second", value: new Secret("two") }],
      assertion: { header: "x-jwt-assertion", value: new Secret("a.b.c"), stable: "alice" },
    };
    const direct = toServer("one");
    const { set } = granted({ ...direct, credential: { ...credential("one"), ...parts } } as Destination);
    expect([...set].slice(WRITTEN.length)).toEqual([
      ["authorization", "one"],
      ["x-second", "two"],
      ["x-jwt-assertion", "a.b.c"],
    ]);
  });

  it("CF-37: a credential in the query never goes to a direct server, nor into a header of that name", () => {
    const step = Grant.of(proof, { ...toServer("one", ":query:api_key"), responseHeaders }, settings);
    expect(step).toMatchObject({ ok: false, reason: "credential_unavailable" });
    expect(managedHeaders("w", null, [":query:api_key", "x-a"])).not.toContain(":query:api_key");
  });

  it("P10, C22: set and remove are disjoint and cover all managed names, for any passage", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("authorization", "x-api-key"),
        fc.option(fc.stringMatching(/^[!-~]{1,30}$/)),
        (header, value) => {
          const { set, remove } = granted(toServer(value, header));
          expect(new Set([...set.keys(), ...remove])).toEqual(new Set([...MANAGED, ...set.keys()]));
          expect(remove.filter((name) => set.has(name))).toEqual([]);
        },
      ),
    );
  });
});

it.each(["", "abc\r\nx: y", "abc\n", "abc\u0000", "caf\u00e9", " abc", "abc ", "\t", "a".repeat(50_000)])(
  "C08, G16: %j cannot be a header and refuses",
  (value) => {
    const step = Grant.of(proof, { ...toServer(value), responseHeaders }, settings);
    expect(step).toMatchObject({ ok: false, reason: "credential_unavailable" });
    expect(JSON.stringify(step)).not.toContain("abc");
  },
);

it("D01: no look-alike is a grant", () => {
  const real = granted(toServer("Bearer pat"));
  const copies = [
    { ...real },
    Object.assign(Object.create(Grant.prototype) as object, real),
    JSON.parse(JSON.stringify(real)),
    null,
    1,
    "ok",
  ];
  expect(Grant.is(real)).toBe(true);
  for (const copy of copies) expect(Grant.is(copy)).toBe(false);
});
