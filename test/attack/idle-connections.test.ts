// Connections that send nothing: they end in time, and Envoy's readiness is answered while they are there.
import { get } from "node:http";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { legacy } from "../e2e/client.ts";
import { openAttackLab, told, type AttackLab } from "./lab.ts";
import { ATTACK_SOURCE } from "./settings.ts";

const MOST = 200;
/** The longest that a connection may be idle, and a margin. */
const IDLE_MS = 75_000;

let lab: AttackLab;
const sockets: Socket[] = [];

beforeAll(async () => {
  lab = await openAttackLab({
    config: (config) => Object.assign(config["envoy"] as object, { maxConnections: MOST }),
  });
  const { hostname, port } = new URL(lab.gateway);
  for (let i = 0; i < MOST + 100; i += 1) {
    const socket = connect({ host: hostname, port: Number(port), localAddress: ATTACK_SOURCE });
    sockets.push(socket.on("error", () => {}).resume());
    await new Promise((done) => setTimeout(done, 2));
  }
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await lab.stop();
});

function readiness(): Promise<number | string> {
  return new Promise((done) => {
    get(`http://127.0.0.1:${lab.ports.envoyOps}/ready`, { agent: false }, (response) => {
      response.resume();
      done(response.statusCode ?? 0);
    }).on("error", (error: NodeJS.ErrnoException) => done(error.code ?? "error"));
  });
}

const isOpen = (socket: Socket) => !socket.destroyed && !socket.closed;

it("no more than `envoy.maxConnections` are taken [F8]", async () => {
  await vi.waitFor(() => expect(sockets.filter(isOpen).length).toBeLessThanOrEqual(MOST), { timeout: 5000 });
});

it("Envoy's own readiness is answered [F8]", async () => {
  for (let i = 0; i < 5; i += 1) expect(await readiness()).toBe(200);
});

it("a new client is served when they have been idle for a minute [F8]", { timeout: IDLE_MS + 20_000 }, async () => {
  const token = await lab.idp.mint("alice");
  const echo = () => legacy(lab.gateway, "tools/call", { name: "echo", arguments: { text: "x" } }, { token });
  const served = async () => expect(await echo().then(told, () => "refused")).toBe("200");
  await vi.waitFor(served, { timeout: IDLE_MS, interval: 1000 });
});
