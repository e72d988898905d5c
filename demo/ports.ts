// The ports of a lab on loopback. I/O: binds ports to see which are free.
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

type Env = Readonly<Record<string, string | undefined>>;
type PortName = keyof Ports;

/** The variable that chooses this port: people type the gateway's and the provider's, all others move together. */
export function portVariable(name: PortName): "GATEWAY_PORT" | "IDP_PORT" | "PORTS_FROM" {
  return name === "gateway" ? "GATEWAY_PORT" : name === "idp" ? "IDP_PORT" : "PORTS_FROM";
}

/** The demo's ports by these variables. @throws with the variable that is wrong */
export function demoPorts(env: Env): Ports {
  const gateway = portOf(env, "GATEWAY_PORT") ?? DEMO_PORTS.gateway;
  const idp = portOf(env, "IDP_PORT") ?? DEMO_PORTS.idp;
  const from = portOf(env, "PORTS_FROM");
  const others = (Object.keys(DEMO_PORTS) as PortName[]).filter((name) => portVariable(name) === "PORTS_FROM");
  const free = [...Array(others.length + 2).keys()]
    .map((i) => i + (from ?? 0))
    .filter((port) => ![gateway, idp].includes(port));
  const moved = from === null ? {} : Object.fromEntries(others.map((name, i) => [name, free[i] ?? 0]));
  const ports = { ...DEMO_PORTS, ...moved, gateway, idp };
  if (Object.values(ports).some((port) => port > MAX_PORT))
    throw new Error(`PORTS_FROM leaves no room for ${others.length} ports`);
  refuseTwice(ports);
  return ports;
}

const MAX_PORT = 65_535;

function portOf(env: Env, name: string): number | null {
  const text = env[name];
  if (text === undefined || text === "") return null;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > MAX_PORT) throw new Error(`${name} is a port, 1 to ${MAX_PORT}, not "${text}"`);
  return port;
}

function refuseTwice(ports: Ports): void {
  for (const name of ["gateway", "idp"] as const) {
    const other = (Object.keys(ports) as PortName[]).find((one) => one !== name && ports[one] === ports[name]);
    if (other !== undefined)
      throw new Error(`${portVariable(name)} is ${ports[name]}, which another part has (${other}): choose another`);
  }
}

/** Free ports on loopback, all different. */
export async function freePorts(): Promise<Ports> {
  const names = Object.keys(DEMO_PORTS) as (keyof Ports)[];
  const servers = await Promise.all(names.map(() => listen(0)));
  const ports = Object.fromEntries(names.map((name, i) => [name, boundPort(servers[i])])) as unknown as Ports;
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** One free port on loopback. */
export async function freePort(): Promise<number> {
  const server = await listen(0);
  const port = boundPort(server);
  await new Promise((done) => server.close(done));
  return port;
}

/** The first port of these that something else listens on, or null. */
export async function takenPort(ports: Ports): Promise<{ name: PortName; port: number } | null> {
  for (const [name, port] of Object.entries(ports) as [PortName, number][]) {
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

function boundPort(server: ReturnType<typeof createServer> | undefined): number {
  const address = server?.address();
  if (address === null || address === undefined || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Ports for a demo of one's own, where others run, too, and the variables that choose them. */
export async function ownPorts(): Promise<{ readonly env: Record<string, string>; readonly ports: Ports }> {
  for (let from = 21_000 + (process.pid % 100) * 100; ; from += 100) {
    const env = { GATEWAY_PORT: String(from + 50), IDP_PORT: String(from + 51), PORTS_FROM: String(from) };
    const ports = demoPorts(env);
    if ((await takenPort(ports)) === null) return { env, ports };
  }
}

/** A text of a demo with these ports as that of one with the fixed ones. */
export function withFixedPorts(text: string, ports: Ports): string {
  return (Object.keys(ports) as PortName[]).reduce(
    (said, name) => said.replaceAll(`127.0.0.1:${ports[name]}`, `127.0.0.1:${DEMO_PORTS[name]}`),
    text,
  );
}
