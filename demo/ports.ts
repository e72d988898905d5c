import { createServer } from "node:net";

/** The addresses of one lab. */
export interface Ports {
  readonly gateway: number;
  readonly envoyOps: number;
  readonly authz: number;
  readonly ops: number;
  readonly broker: number;
  readonly brokerOps: number;
  readonly idp: number;
  readonly demo: number;
  readonly tickets: number;
  readonly everything: number;
  readonly budget: number;
  readonly vault: number;
}

/** The demo's ports: fixed, so that the printed lines stay true. */
export const DEMO_PORTS: Ports = {
  gateway: 8080,
  envoyOps: 8081,
  authz: 9001,
  ops: 9002,
  broker: 9003,
  brokerOps: 9004,
  idp: 9080,
  demo: 9100,
  tickets: 9101,
  everything: 9102,
  budget: 9103,
  vault: 9200,
};

/** Free ports on loopback, all different. */
export async function freePorts(): Promise<Ports> {
  const names = Object.keys(DEMO_PORTS) as (keyof Ports)[];
  const servers = await Promise.all(names.map(() => listen(0)));
  const ports = Object.fromEntries(names.map((name, i) => [name, portOf(servers[i])])) as unknown as Ports;
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** One free port on loopback. */
export async function freePort(): Promise<number> {
  const server = await listen(0);
  const port = portOf(server);
  await new Promise((done) => server.close(done));
  return port;
}

/** The first port of these that something else listens on, or null. */
export async function takenPort(ports: Ports): Promise<{ name: string; port: number } | null> {
  for (const [name, port] of Object.entries(ports) as [string, number][]) {
    const server = await listen(port).catch(() => null);
    if (server === null) return { name, port };
    await new Promise((done) => server.close(done));
  }
  return null;
}

function listen(port: number) {
  return new Promise<ReturnType<typeof createServer>>((done, fail) => {
    const server = createServer();
    server.once("error", fail);
    server.listen(port, "127.0.0.1", () => done(server));
  });
}

function portOf(server: ReturnType<typeof createServer> | undefined): number {
  const address = server?.address();
  if (address === null || address === undefined || typeof address === "string") throw new Error("no port");
  return address.port;
}
