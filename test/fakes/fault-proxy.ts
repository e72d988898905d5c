// A TCP proxy in front of a real part, to lose it and have it back: what comes through is the real part's own words.
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** `gone`: nobody listens. `silent`: takes requests and never answers. `broken`: resets once bytes came. */
export type ProxyMode = "pass" | "gone" | "silent" | "broken";

export interface FaultProxy {
  readonly port: number;
  set(mode: ProxyMode): Promise<void>;
  close(): Promise<void>;
}

export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  let mode: ProxyMode = "pass";
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    if (mode === "silent") socket.resume();
    else if (mode === "broken") socket.once("data", () => socket.resetAndDestroy());
    else forward(socket, targetPort);
  });
  const listen = (port: number) => new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
  const silence = () =>
    new Promise<void>((done) => {
      for (const socket of sockets) socket.destroy();
      server.close(() => done());
    });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async set(next) {
      if (server.listening) await silence(); // connections of before must not outlive the change
      mode = next;
      if (next !== "gone") await listen(port);
    },
    close: () => (server.listening ? silence() : Promise.resolve()),
  };
}

function forward(socket: Socket, targetPort: number): void {
  const target = connect(targetPort, "127.0.0.1");
  target.on("error", () => socket.destroy());
  target.on("close", () => socket.destroy());
  socket.on("close", () => target.destroy());
  socket.pipe(target).pipe(socket);
}
