// The streams of one session: how many there are, whatever their clients do.
import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, vi } from "vitest";
import { createClientStreams } from "./client-streams.ts";

it("a client who does not read has no more streams than another, and none beyond her token's life", async () => {
  const streams = createClientStreams({ onFirst: () => {}, onOpen: () => {}, onNone: () => {} });
  const options = { keepAliveMs: 60_000, maxMs: 60_000, messagePath: null };
  const server = createServer((request, response) => {
    streams.open(response, request.url === "/short" ? { ...options, maxMs: 50 } : options);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const listen = (path = "/") =>
    new Promise<IncomingMessage>((done) => get({ port, host: "127.0.0.1", path, agent: false }, done));
  const clients = [await listen("/short")];
  streams.send(Buffer.alloc(32 * 1024 * 1024, "x"), null, null);
  await vi.waitFor(() => expect(streams.size).toBe(0));
  for (let i = 0; i < 10; i += 1) {
    clients.push(await listen());
    if (i === 0) streams.send(Buffer.alloc(32 * 1024 * 1024, "x"), null, null);
  }
  await vi.waitFor(() => expect(streams.size).toBeLessThanOrEqual(4));
  for (const client of clients) client.on("error", () => {}).destroy();
  server.closeAllConnections();
  server.close();
});
