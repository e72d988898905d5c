// Connections of an HTTP/2 server on TCP, a Unix socket or TLS: reading, writing in turns, back pressure, stalls, the end. I/O.
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { tlsContext, tlsOptions, type TlsMaterial } from "../http/server.ts";
import { Connection } from "./connection.ts";
import { ERROR } from "./fault.ts";
import { HeldBytes } from "./held-bytes.ts";
import { STALL_MS, UNREAD_BYTES } from "./limits.ts";
import type { Stream } from "./stream.ts";

export interface Http2ServerOptions {
  readonly tls: TlsMaterial | null;
  /** TCP keep-alive. */
  readonly socket: { readonly keepAlive: boolean; readonly keepAliveInitialDelay: number };
  readonly maxBodyBytes: number;
  /** Takes a request when its header fields are here. */
  readonly onRequest: (connection: Connection, stream: Stream, socket: Socket) => void;
}

export interface Http2Server {
  /** To listen with. */
  readonly server: Server;
  setTls(material: TlsMaterial): void;
  /** Asks each connection to end after its streams (two GOAWAYs, RFC 9113 §6.8). */
  shutdown(): void;
}

/** How often stalls are looked for, and how long a client may take to acknowledge a GOAWAY. */
const SWEEP_MS = 1000;

export function createHttp2Server(options: Http2ServerOptions): Http2Server {
  const { tls } = options;
  const sessions = new Set<Session>();
  const held = new HeldBytes();
  const accept = (socket: Socket) => {
    const session = new Session(socket, options, held);
    sessions.add(session);
    socket.on("close", () => sessions.delete(session));
  };
  const secure =
    tls === null ? null : createTlsServer({ ...options.socket, ...tlsOptions(tls), ALPNProtocols: ["h2"] });
  const server: Server = secure ?? createTcpServer(options.socket);
  if (secure === null) server.on("connection", accept);
  else secure.on("secureConnection", (socket) => (isHttp2(socket) ? accept(socket) : socket.destroy()));
  const sweep = setInterval(() => {
    for (const session of sessions) session.sweep();
  }, SWEEP_MS);
  sweep.unref();
  server.on("close", () => clearInterval(sweep));
  return {
    server,
    setTls: (material) => secure?.setSecureContext(tlsContext(material)),
    shutdown: () => {
      for (const session of sessions) session.shutdown();
    },
  };
}

/** By ALPN (RFC 9113 §3.2). */
function isHttp2(socket: TLSSocket): boolean {
  socket.on("error", () => socket.destroy());
  return socket.alpnProtocol === "h2";
}

/** One socket and the connection on it. */
class Session {
  readonly #socket: Socket;
  readonly #connection: Connection;
  /** Bytes of this turn of the event loop: they leave in one write. */
  #output: Buffer[] = [];
  #isEnding = false;
  /** When the client was found to owe something, as `performance.now()`; 0: it owes nothing. */
  #owesSince = 0;
  #goingSince = 0;

  constructor(socket: Socket, { maxBodyBytes, onRequest }: Http2ServerOptions, held: HeldBytes) {
    this.#socket = socket;
    socket.setNoDelay(true);
    this.#connection = new Connection({
      write: (bytes) => this.#write(bytes),
      end: () => this.#end(),
      onRequest: (stream) => onRequest(this.#connection, stream, socket),
      now: () => performance.now(),
      maxBodyBytes,
      held,
    });
    socket.on("data", (part: Buffer) => this.#read(part));
    socket.on("drain", () => socket.resume());
    socket.on("error", () => socket.destroy());
    socket.on("end", () => this.#connection.gone());
    socket.on("close", () => this.#connection.gone());
  }

  shutdown(): void {
    this.#goingSince = performance.now();
    this.#connection.shutdown();
  }

  /** Ends a client that stands still in the midst of something. */
  sweep(): void {
    const now = performance.now();
    if (this.#goingSince > 0 && now - this.#goingSince > SWEEP_MS) this.#connection.refuseNew();
    if (!this.#connection.isWaiting && this.#socket.writableLength === 0) this.#owesSince = 0;
    else if (this.#owesSince === 0) this.#owesSince = now;
    else if (now - this.#owesSince > STALL_MS) this.#stalled();
  }

  /** A client that does not read takes no GOAWAY either. */
  #stalled(): void {
    this.#connection.fail(ERROR.enhanceYourCalm);
    if (this.#socket.writableLength > 0) this.#socket.destroy();
    else this.#socket.destroySoon();
  }

  #read(part: Buffer): void {
    this.#owesSince = 0;
    this.#connection.receive(part);
    if (this.#socket.writableLength > UNREAD_BYTES) this.#socket.pause();
  }

  #write(bytes: Buffer): void {
    if (this.#output.push(bytes) === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const output = this.#output;
    this.#output = [];
    const [first] = output;
    if (first !== undefined && this.#socket.writable)
      this.#socket.write(output.length === 1 ? first : Buffer.concat(output));
    if (this.#isEnding) this.#socket.end();
  }

  #end(): void {
    this.#isEnding = true;
    if (this.#output.length === 0) this.#socket.end();
  }
}
