// Completions of arguments (MCP, Completion): judged as the prompt or template that they name, on both endpoints.
import { describe, expect, it } from "vitest";
import { reasonOf, type CallParts } from "../../../test/fakes/broker-client.ts";
import { json, result, type FakeEra } from "../../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";

const { setup } = relayFixture();
const values = ["docs://a", "s+docs://a", "ui://b"];
const argument = { name: "id", value: "d" };
const PROMPT = { type: "ref/prompt", name: "echo" };
const TEMPLATE = { type: "ref/resource", uri: "docs://{id}" };

function completion(ref: object, claims: object, more: Partial<CallParts> = {}): CallParts {
  const { path, modern = false } = more;
  return {
    ...more,
    ...(path !== undefined && { path }),
    method: "completion/complete",
    headers: modern ? { "mcp-name": undefined } : {},
    claims: { ...claims },
    params: { name: undefined, ref, argument },
  };
}

describe.each<[FakeEra, boolean]>([
  ["modern", true],
  ["modern", false],
  ["legacy", true],
  ["sessions", false],
])("a %s server, modern client %s", (era, modern) => {
  it.each([
    ["a prompt", PROMPT, PROMPT, { prompts: { s: ["echo"] } }, undefined],
    ["a template", TEMPLATE, TEMPLATE, { resources: { s: ["docs://{id}"] } }, undefined],
    ["a prompt of /mcp", { ...PROMPT, name: "s_echo" }, PROMPT, { prompts: { s: ["echo"] } }, "/mcp"],
    [
      "a template of /mcp",
      { ...TEMPLATE, uri: "s+docs://{id}" },
      TEMPLATE,
      { resources: { s: ["docs://{id}"] } },
      "/mcp",
    ],
    [
      "a page's template of /mcp",
      { ...TEMPLATE, uri: "ui://s/{id}/view" },
      { ...TEMPLATE, uri: "ui://{id}/view" },
      { resources: { s: ["ui://{id}/view"] } },
      "/mcp",
    ],
  ])("%s is completed: under its own name there, and the values as they come", async (_, ref, own, claims, path) => {
    const { upstream, broker } = await setup(era, (arrival, response) =>
      json(response, 200, result(arrival, { completion: { values, total: 3 } })),
    );
    const reply = await broker.call(completion(ref, claims, { modern, ...(path !== undefined && { path }) }));
    expect(reply.message.result).toMatchObject({ completion: { values, total: 3 } });
    const [arrival] = upstream.of("completion/complete");
    expect(arrival?.params).toMatchObject({ ref: own, argument });
    expect(arrival?.headers).not.toHaveProperty("mcp-name");
  });
});

it.each([
  ["another prompt", { ...PROMPT, name: "other" }, undefined],
  ["a template for a prompt", TEMPLATE, undefined],
  ["another server's", { ...PROMPT, name: "t_echo" }, "/mcp"],
  ["its own name on /mcp", PROMPT, "/mcp"],
])("a completion of %s than the wristband names is refused, and reaches nobody", async (_, ref, path) => {
  const { upstream, broker } = await setup();
  const reply = await broker.call(
    completion(ref, { prompts: { s: ["echo"] } }, { ...(path !== undefined && { path }) }),
  );
  expect([reasonOf(reply.messages[0]), upstream.of("completion/complete")]).toEqual(["wristband_invalid", []]);
});
