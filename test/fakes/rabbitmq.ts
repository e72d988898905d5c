// The part of RabbitMQ's management API that a Vault's engine `rabbitmq` speaks: users are made and deleted.
import { createServer } from "node:http";

export interface FakeRabbit {
  readonly url: string;
  /** Names of users that there are. */
  readonly users: Set<string>;
  stop(): Promise<void>;
}

export async function startFakeRabbit(): Promise<FakeRabbit> {
  const users = new Set<string>();
  const server = createServer((request, response) => {
    request.resume();
    const name = /^\/api\/users\/([^/?]+)$/.exec(request.url ?? "")?.[1];
    if (name !== undefined && request.method === "PUT") users.add(decodeURIComponent(name));
    if (name !== undefined && request.method === "DELETE") users.delete(decodeURIComponent(name));
    const isWrite = request.method === "PUT" || request.method === "DELETE";
    response.writeHead(isWrite ? 204 : 200, { "content-type": "application/json" }).end(isWrite ? undefined : "[]");
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
    users,
    stop: () =>
      new Promise<void>((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}
