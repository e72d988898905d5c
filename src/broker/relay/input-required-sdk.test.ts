// The SDK's client of the older revisions and the SDK's server of the stateless one that asks, with the real broker between.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler } from "@modelcontextprotocol/server";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { expect, it } from "vitest";
import { createServer as createFixture } from "../../../test/conformance/fixture/server.ts";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { sdkSessionClient } from "../../../test/fakes/sdk-session-client.ts";

const { closing } = relayFixture();

async function connected() {
  const handler = toNodeHandler(createMcpHandler(() => createFixture("", {} as never), { legacy: "reject" }));
  const upstream = createServer((request, response) => void handler(request as never, response));
  await new Promise<void>((done) => upstream.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/mcp`;
  const broker = await startTestBroker({ s: { url, timeoutMs: 10_000 } }, { clientSessions: {} });
  const { client, connect } = sdkSessionClient(broker.port, { elicitation: {}, sampling: {}, roots: {} });
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
    const [name = ""] = "requestedSchema" in params ? Object.keys(params.requestedSchema.properties) : [];
    const values: Record<string, string | boolean> = { name: "Ann", color: "green", ok: true };
    return { action: "accept" as const, content: { [name]: values[name] ?? "" } };
  });
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    ...{ role: "assistant" as const, model: "m", content: { type: "text" as const, text: "Paris" } },
  }));
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: "file:///x" }] }));
  closing.push(
    () =>
      new Promise<void>((done) => {
        upstream.closeAllConnections();
        upstream.close(() => done());
      }),
    () => broker.close(),
    () => client.close(),
  );
  await connect();
  return client;
}

it("each question is answered, and the call with it", async () => {
  const client = await connected();
  const said = async (tool: string) => {
    const { content } = await client.callTool({ name: `test_input_required_result_${tool}`, arguments: {} });
    return (content as { text: string }[])[0]?.text;
  };
  expect(await said("elicitation")).toBe("Hello, Ann!");
  expect(await said("sampling")).toBe("Sampled: Paris");
  expect(await said("list_roots")).toBe("Roots: file:///x");
  expect(await said("request_state")).toBe("state-ok");
  expect(await said("multiple_inputs")).toBe("Paris Ann, 1");
  expect(await said("multi_round")).toBe("Ann likes green");
});
