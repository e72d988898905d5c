// A client of an older revision with a session at a test broker: it says whatever a test wants, as Envoy would hand it on.
import { request as httpRequest, type IncomingMessage } from "node:http";
import { bodyDigest } from "../../src/wristband/claims.ts";
import { CREDENTIAL, replyOf, type BrokerReply } from "./broker-client.ts";
import { boundFor, claimsOf, wristband } from "./wristband.ts";

export interface SessionClientOptions {
  readonly port: number;
  readonly sub?: string;
  readonly client?: string;
  readonly idp?: string;
  /** The endpoint's server; `/mcp` for null. */
  readonly server?: string | null;
  readonly capabilities?: object;
  readonly credential?: string;
}

type Headers = Readonly<Record<string, string | readonly string[]>>;

/** A request as it is sent: what is not given is what the client would send. */
export interface SentRequest {
  readonly http?: string;
  readonly body?: object | string;
  readonly use?: "list" | "call" | "session";
  readonly names?: object;
  readonly headers?: Headers;
  readonly port?: number;
}

export class SessionClient {
  readonly #options: SessionClientOptions;
  #id: string | null = null;
  #nextId = 1;

  constructor(options: SessionClientOptions) {
    this.#options = options;
  }

  get id(): string {
    if (this.#id === null) throw new Error("no session");
    return this.#id;
  }

  set id(id: string) {
    this.#id = id;
  }

  /** The handshake. */
  async begin(): Promise<BrokerReply> {
    const { capabilities = {} } = this.#options;
    const params = { protocolVersion: "2025-11-25", capabilities, clientInfo: { name: "c", version: "1" } };
    const reply = await this.ask({ body: { id: 0, method: "initialize", params } });
    const id = reply.headers["mcp-session-id"];
    if (typeof id === "string") this.#id = id;
    await this.ask({ body: { method: "notifications/initialized" } });
    return reply;
  }

  async ask(sent: SentRequest): Promise<BrokerReply> {
    return replyOf(await this.send(sent));
  }

  /** A call of a tool, with its response as it comes. */
  open(name = "echo", params: object = {}, more: SentRequest = {}): Promise<IncomingMessage> {
    const { server = "s" } = this.#options;
    const id = this.#nextId++;
    const names = { tools: { [server ?? name.slice(0, name.indexOf("_"))]: [name.slice(name.indexOf("_") + 1)] } };
    return this.send({
      body: { id, method: "tools/call", params: { name, ...params } },
      use: "call",
      names: server === null ? names : { tools: { [server]: [name] } },
      ...more,
    });
  }

  async call(name = "echo", params: object = {}, more: SentRequest = {}): Promise<BrokerReply> {
    return replyOf(await this.open(name, params, more));
  }

  notify(method: string, params: object = {}): Promise<BrokerReply> {
    return this.ask({ body: { method, params } });
  }

  /** An answer to a request of a server. */
  answer(id: unknown, result: object = {}): Promise<BrokerReply> {
    return this.ask({ body: { id, result }, use: "session" });
  }

  setLevel(level: unknown): Promise<BrokerReply> {
    return this.ask({ body: { id: this.#nextId++, method: "logging/setLevel", params: { level } }, use: "session" });
  }

  end(): Promise<BrokerReply> {
    return this.ask({ http: "DELETE", use: "session" });
  }

  /** Opens the stream of the session. */
  listen(headers: Headers = {}): Promise<IncomingMessage> {
    return this.send({ http: "GET", use: "session", headers: { accept: "text/event-stream", ...headers } });
  }

  send(sent: SentRequest): Promise<IncomingMessage> {
    const { port, server = "s" } = this.#options;
    const { body, http: method = "POST" } = sent;
    const text = typeof body === "object" ? JSON.stringify({ jsonrpc: "2.0", ...body }) : (body ?? "");
    const content = { "content-type": "application/json", "content-length": String(Buffer.byteLength(text)) };
    const headers = { ...this.#headers(sent, text), ...(text !== "" && content), ...sent.headers };
    const path = server === null ? "/mcp" : `/servers/${server}/mcp`;
    const options = { port: sent.port ?? port, host: "127.0.0.1", method, path, headers, agent: false as const };
    return new Promise((done, fail) => {
      httpRequest(options as never)
        .on("response", done)
        .on("error", fail)
        .end(text);
    });
  }

  #headers({ use = "list", names = {} }: SentRequest, text: string): Record<string, string> {
    const { server = "s", credential = CREDENTIAL, sub, client, idp } = this.#options;
    const who = Object.fromEntries(Object.entries({ sub, client, idp }).filter(([, value]) => value !== undefined));
    const named = Object.values(names).flatMap((servers) => Object.keys((servers as object | undefined) ?? {}));
    const proof = use === "call" ? { body: bodyDigest(Buffer.from(text)), ...boundFor(this.#options.port, named) } : {};
    return {
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-11-25",
      "x-authorized-tools": wristband(claimsOf({ ...who, use, ...names, ...proof })),
      ...(this.#id !== null && { "mcp-session-id": this.#id }),
      ...(use === "call" && { "x-upstream-authorization": credential }),
      ...(use === "call" && server !== null && { "x-mcp-server": server }),
    };
  }
}
