// Preloaded into MCP servers that would listen on all interfaces and offer no option for it: they listen on loopback.
import { Server, type ListenOptions } from "node:net";

const original: (this: Server, options: ListenOptions, done?: () => void) => Server = Reflect.get(
  Server.prototype,
  "listen",
);

/** `listen(port, …, done)` and `listen(options, done)`, as programs call it. */
function listenOnLoopback(this: Server, first: unknown, ...rest: readonly unknown[]): Server {
  const done = rest.find((value): value is () => void => typeof value === "function");
  const options: ListenOptions =
    typeof first === "object" && first !== null ? { ...first } : { port: Number(first ?? 0) };
  return original.call(this, { ...options, host: "127.0.0.1" }, done);
}

Server.prototype.listen = listenOnLoopback as Server["listen"];
