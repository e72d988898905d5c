import { describe, expect, it } from "vitest";
import { headersOf } from "../../test/fakes/authz.ts";
import { readOperation, rpcContextOf } from "./read-operation.ts";
import { MODERN, SUPPORTED_VERSIONS } from "./versions.ts";

const META = {
  "io.modelcontextprotocol/protocolVersion": MODERN,
  "io.modelcontextprotocol/clientCapabilities": {},
};

/** The request as a client of this revision sends it. */
function ask(version: string, method: string, params: object = {}, name: string | null = null) {
  const isModern = version === MODERN;
  const message = { jsonrpc: "2.0", id: 1, method, params: { ...params, ...(isModern && { _meta: META }) } };
  const mirrored = [["mcp-method", method] as const, ...(name === null ? [] : [["mcp-name", name] as const])];
  const headers = headersOf([["mcp-protocol-version", version], ...(isModern ? mirrored : [])]);
  return readOperation(Buffer.from(JSON.stringify(message)), headers);
}

const verdict = (...asked: Parameters<typeof ask>) => {
  const read = ask(...asked);
  if (!read.ok) return read.fault.reason;
  const { class: of, kind, name } = read.operation;
  return [of, kind, name].filter((part) => part !== null).join(" ");
};

const OLDER = SUPPORTED_VERSIONS.filter((version) => version !== MODERN);

describe("B46: a method that a revision does not have", () => {
  it.each([
    ["initialize", {}],
    ["ping", {}],
    ["logging/setLevel", { level: "debug" }],
    ["resources/subscribe", { uri: "docs://a" }],
    ["resources/unsubscribe", { uri: "docs://a" }],
  ])("%s is unknown in the stateless one", (method, params) => {
    expect(verdict(MODERN, method, params)).toBe("method_unknown");
    for (const version of OLDER) expect(verdict(version, method, params)).not.toBe("method_unknown");
  });

  it.each(["server/discover", "subscriptions/listen"])("%s is unknown in the older ones", (method) => {
    expect(verdict(MODERN, method)).not.toBe("method_unknown");
    for (const version of OLDER) expect(verdict(version, method)).toBe("method_unknown");
  });

  it("also with spaces around the revision, or the revision in _meta alone", () => {
    const ping = (headers: [string, string][], params = {}) =>
      readOperation(
        Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping", params })),
        headersOf([["mcp-method", "ping"], ...headers]),
      );
    const unknown = { ok: false, fault: { reason: "method_unknown" } };
    expect(ping([["mcp-protocol-version", ` ${MODERN}\t`]], { _meta: META })).toMatchObject(unknown);
    expect(ping([], { _meta: META })).toMatchObject(unknown);
  });

  it("a revision that we do not speak is refused as that", () =>
    expect(verdict("2099-01-01", "server/discover")).toBe("version_unsupported"));
});

describe("the classes", () => {
  it.each([
    [MODERN, "subscriptions/listen", { notifications: {} }, null, "listen"],
    ["2025-11-25", "logging/setLevel", { level: "debug" }, null, "session"],
    ["2025-06-18", "resources/subscribe", { uri: "docs://a" }, null, "named resource docs://a"],
    ["2025-06-18", "resources/unsubscribe", { uri: "docs://a" }, null, "named resource docs://a"],
    [MODERN, "resources/read", { uri: "docs://a" }, "docs://a", "named resource docs://a"],
  ])("%s %s %j", (version, method, params, name, expected) =>
    expect(verdict(version, method, params, name)).toBe(expected),
  );
});

describe("completion/complete names what it completes", () => {
  const argument = { name: "a", value: "b" };
  it.each<[string, object, string]>([
    ["a prompt", { type: "ref/prompt", name: "greet", title: "Greet" }, "named prompt greet"],
    ["a template", { type: "ref/resource", uri: "docs://{team}/x" }, "named resource docs://{team}/x"],
    ["a resource", { type: "ref/resource", uri: "docs://a/x" }, "named resource docs://a/x"],
    ["another type", { type: "ref/tool", name: "greet" }, "params_invalid"],
    ["no type", { name: "greet" }, "params_invalid"],
    ["a type of Object", { type: "constructor", name: "greet" }, "params_invalid"],
    ["a prompt by URI", { type: "ref/prompt", uri: "docs://a" }, "params_invalid"],
    ["a template by name", { type: "ref/resource", name: "greet" }, "params_invalid"],
    ["a template that leaves its place", { type: "ref/resource", uri: "docs://a/../{x}" }, "params_invalid"],
    ["a member in another case", { type: "ref/prompt", name: "greet", Name: "drop" }, "body_malformed"],
    ["a type in another case", { type: "ref/prompt", name: "greet", TYPE: "ref/resource" }, "body_malformed"],
  ])("%s", (_, ref, expected) => {
    for (const version of [MODERN, "2025-11-25"])
      expect(verdict(version, "completion/complete", { ref, argument })).toBe(expected);
  });

  it.each([[[]], [null], ["ref/prompt"]])("by %j: nothing", (ref) =>
    expect(verdict("2025-11-25", "completion/complete", { ref, argument })).toBe("params_invalid"),
  );

  it("has no Mcp-Name in the stateless revision, and policy sees no arguments", () => {
    const params = { ref: { type: "ref/prompt", name: "greet" }, argument, arguments: { a: 1 } };
    expect(verdict(MODERN, "completion/complete", params, "greet")).toBe("header_mismatch");
    expect(ask(MODERN, "completion/complete", params)).toMatchObject({ ok: true, operation: { arguments: {} } });
  });
});

describe("a client's response to a server's request", () => {
  const respond = (version: string | null, message: object) =>
    readOperation(
      Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message })),
      headersOf(version === null ? [] : [["mcp-protocol-version", version]]),
    );

  it.each([
    { id: "s-1", result: { action: "accept" } },
    { id: 0, error: { code: -32_601, message: "no", data: { a: 1 } } },
  ])("%j is of class session, and keeps its id", (message) => {
    for (const version of [null, ...OLDER])
      expect(respond(version, message)).toMatchObject({
        ok: true,
        operation: { class: "session", method: "response", id: message.id, kind: null, name: null },
        params: {},
      });
  });

  it("no refusal has its id: a client might take it for the answer to a request of hers", () => {
    const read = respond("2025-11-25", { id: 7, result: {} });
    if (!read.ok) throw new Error(read.fault.reason);
    expect(rpcContextOf(read.operation)).toEqual({ id: null, notification: true, version: "2025-11-25" });
    expect(respond(MODERN, { id: 7, result: {} })).toMatchObject({
      ok: false,
      fault: { reason: "method_unknown" },
      rpc: { id: null, notification: true },
    });
  });
});
