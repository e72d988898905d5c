import * as semconv from "@opentelemetry/semantic-conventions/incubating";
import { expect, it } from "vitest";
import { ATTRIBUTE_NAMES } from "./attributes.ts";

const KNOWN: ReadonlySet<unknown> = new Set(
  Object.entries(semconv).flatMap(([name, value]) => (name.startsWith("ATTR_") ? [value] : [])),
);

it.each(ATTRIBUTE_NAMES)("%s is ours, or one of the semantic conventions", (name) =>
  expect(name.startsWith("mcp_authz.") || KNOWN.has(name)).toBe(true),
);

it.each(["mcp.session.id", "mcp.resource.uri", "url.full", "url.path", "enduser.id", "gen_ai.tool.call.arguments"])(
  "%s can hold what no span may hold",
  (name) => expect(ATTRIBUTE_NAMES).not.toContain(name),
);
