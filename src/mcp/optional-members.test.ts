// B10: null for what may be left out is absence, in every optional member of every message that a client may send, of all revisions:
// made from the schemas of the published SDKs.
import * as core from "@modelcontextprotocol/core";
import * as sdk from "@modelcontextprotocol/sdk/types.js";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { headersOf } from "../../test/fakes/authz.ts";
import { isObject } from "../json/object.ts";
import { isOfRevision, isTaskNotice, methodRow, METHOD_NAMES } from "./method-table.ts";
import { MODERN } from "./versions.ts";
import { readOperation } from "./read-operation.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";

type Schema = Readonly<Record<string, unknown>>;

/** What is required of a value of this schema. */
function least(schema: Schema, root: Schema): JsonValue {
  const of = resolve(schema, root);
  if ("const" in of) return of["const"] as JsonValue;
  const [first] = (of["enum"] ?? []) as JsonValue[];
  if (first !== undefined) return first;
  const options = (of["anyOf"] ?? of["oneOf"]) as Schema[] | undefined;
  if (options !== undefined) return least(options[0] ?? {}, root);
  const parts = of["allOf"] as Schema[] | undefined;
  if (parts !== undefined) return Object.assign({}, ...parts.map((part) => least(part, root))) as JsonObject;
  if (of["type"] === "object")
    return Object.fromEntries(required(of).map((name) => [name, least(propertiesOf(of)[name] ?? {}, root)]));
  return { array: [], string: "docs://a", boolean: false, number: 1, integer: 1 }[String(of["type"])] ?? {};
}

function resolve(schema: Schema, root: Schema): Schema {
  const { $ref } = schema;
  if (typeof $ref !== "string") return schema;
  return $ref
    .split("/")
    .slice(1)
    .reduce<Schema>((at, name) => (at[name] ?? {}) as Schema, root);
}

const propertiesOf = (schema: Schema) => (schema["properties"] ?? {}) as Readonly<Record<string, Schema>>;
const required = (schema: Schema) => (schema["required"] ?? []) as string[];

/** Pointers to each member that may be left out, through those that may. */
function optionalMembers(schema: Schema, root: Schema, at: readonly string[] = []): (readonly string[])[] {
  const of = resolve(schema, root);
  const inner = [...((of["anyOf"] ?? of["oneOf"] ?? of["allOf"] ?? []) as Schema[])];
  const own = Object.entries(propertiesOf(of)).flatMap(([name, property]) => {
    const path = [...at, name];
    const below = path.length < 7 ? optionalMembers(property, root, path) : [];
    return required(of).includes(name) ? below : [path, ...below];
  });
  return [...own, ...inner.flatMap((one) => optionalMembers(one, root, at))];
}

/** The message with a value there; members on the way are what is least required of them, or an empty object. */
function withMember(message: JsonValue, path: readonly string[], value: JsonValue | undefined): JsonObject {
  const [name = "", ...rest] = path;
  const { [name]: before, ...others } = isObject(message) ? message : {};
  if (rest.length > 0) return { ...others, [name]: withMember(before ?? {}, rest, value) };
  return value === undefined ? others : { ...others, [name]: value };
}

function messageSchemas() {
  const all = [
    ...[core.ClientRequestSchema, core.ClientNotificationSchema, sdk.ClientRequestSchema, sdk.ClientNotificationSchema],
    ...[core.DiscoverRequestSchema, core.SubscriptionsListenRequestSchema],
  ].flatMap((schema) => {
    const root = z.toJSONSchema(schema as unknown as z.ZodType, { unrepresentable: "any", io: "input" }) as Schema;
    const options = (root["anyOf"] ?? root["oneOf"] ?? [root]) as Schema[];
    return options.map((one) => ({ root, schema: resolve(one, root) }));
  });
  return all.flatMap(({ root, schema }) => {
    const message = least(schema, root) as { method: string; params?: JsonObject };
    const members = optionalMembers(schema, root).filter(([first]) => first === "params");
    const isNotice = message.method.startsWith("notifications/");
    const row = methodRow(message.method);
    return row === null
      ? []
      : [
          {
            ...{ method: message.method, members, row },
            message: { jsonrpc: "2.0", ...(isNotice ? {} : { id: 1 }), ...message },
          },
        ];
  });
}

const META = {
  "io.modelcontextprotocol/protocolVersion": MODERN,
  "io.modelcontextprotocol/clientCapabilities": {},
};

function read(message: JsonObject, version: string) {
  const isModern = version === MODERN;
  const params = isObject(message["params"]) ? message["params"] : {};
  const name = params["name"] ?? params["uri"] ?? params["taskId"];
  const headers: [string, string][] = isModern
    ? [
        ["mcp-protocol-version", MODERN],
        ["mcp-method", String(message["method"])],
        ...(typeof name === "string" ? [["mcp-name", name] as [string, string]] : []),
      ]
    : [["mcp-protocol-version", version]];
  const result = readOperation(Buffer.from(JSON.stringify(message)), headersOf(headers));
  return result.ok ? result.operation : result.fault;
}

const messages = messageSchemas();
const cases = messages.flatMap(({ method, message, members, row }) =>
  ["2025-11-25", MODERN]
    .filter((version) => isOfRevision(row, version) && !(version === MODERN && isTaskNotice(method)))
    .map((version) => [method, version, message, members] as const),
);

describe("B10: null in an optional member is absence", () => {
  it("the schemas have every method of ours but for those of the extension of tasks", () => {
    const known = new Set(messages.map(({ method }) => method));
    expect(METHOD_NAMES.filter((method) => !known.has(method))).toEqual(["tasks/update"]);
    expect(cases.reduce((sum, [, , , members]) => sum + members.length, 0)).toBeGreaterThan(300);
  });

  it.each(cases)("%s of %s", (_, version, message, members) => {
    const inRevision = (one: JsonObject) => {
      const { _meta: meta } = (one["params"] ?? {}) as { _meta?: object };
      return version === MODERN ? withMember(one, ["params", "_meta"], { ...META, ...meta }) : one;
    };
    for (const path of members) {
      // What the stateless revision requires is not optional in it.
      if (
        version === MODERN &&
        ((path.length < 3 && (path[1] ?? "_meta") === "_meta") || (path[2] !== undefined && path[2] in META))
      )
        continue;
      const absent = read(inRevision(withMember(message, path, undefined)), version);
      expect([path.join("."), absent]).not.toMatchObject([path.join("."), { reason: expect.anything() as string }]);
      expect([path.join("."), read(inRevision(withMember(message, path, null)), version)]).toEqual([
        path.join("."),
        absent,
      ]);
    }
  });
});
