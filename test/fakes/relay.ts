// A test broker before one fake MCP server, closed after each test.
import { afterEach } from "vitest";
import { startTestBroker, type TestBroker, type TestServer } from "./broker.ts";
import { startEraServer, type EraServer, type FakeEra, type OnCall } from "./mcp-server.ts";

export const CANARY = "upstream-canary";

export const progress = (progressToken: string | number) => ({
  jsonrpc: "2.0",
  method: "notifications/progress",
  params: { progressToken, progress: 1 },
});

export function relayFixture() {
  /** Called after each test, the last one first. */
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });

  async function setup(
    era: FakeEra = "modern",
    onCall?: OnCall,
    server: Partial<TestServer> = {},
  ): Promise<{ upstream: EraServer; broker: TestBroker }> {
    const upstream = await startEraServer(era, onCall);
    const broker = await startTestBroker({ s: { url: upstream.url, ...server } });
    closing.push(
      () => upstream.close(),
      () => broker.close(),
    );
    return { upstream, broker };
  }

  return { setup, closing };
}
