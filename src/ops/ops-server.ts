// The operator listener: health, metrics, keys. Plain HTTP/1.1 or TLS 1.3, exact paths, GET and HEAD but for what our own processes
// ask by POST.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ListenAddress } from "../http/listen.ts";
import { createTlsOrPlainServer, type HttpServer, type TlsMaterial } from "../http/server.ts";

export interface OpsResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly etag?: string;
  readonly allow?: string;
}

/** Of a request, what routes look at. */
export type OpsRequest = Pick<IncomingMessage, "headers">;

export interface OpsServerOptions {
  readonly name: string;
  readonly address: ListenAddress;
  readonly tls: TlsMaterial | null;
  /** Exact paths. */
  readonly routes: Routes;
  /** Exact paths of requests that act: by POST alone, and no body is read. */
  readonly posts?: Routes;
}

type Routes = Readonly<Record<string, (request: IncomingMessage) => OpsResponse | Promise<OpsResponse>>>;

export interface OpsServer {
  listen(): Promise<number>;
  /** New certificates for new connections; open ones go on. */
  setTls(material: TlsMaterial): void;
  close(): Promise<void>;
}

const NOT_FOUND: OpsResponse = { status: 404, contentType: "text/plain", body: "not found\n" };
const FAILED: OpsResponse = { status: 500, contentType: "text/plain", body: "failed\n" };
const FORBIDDEN: OpsResponse = { status: 403, contentType: "text/plain", body: "forbidden\n" };

export function createOpsServer({ name, address, tls, routes, posts = {} }: OpsServerOptions): OpsServer {
  const byPath = {
    read: new Map(Object.entries(routes)),
    post: new Map(Object.entries(posts)),
  };
  const limits = { maxHeaderSize: 16 * 1024, requestTimeout: 10_000, headersTimeout: 5_000 };
  const server: HttpServer = createTlsOrPlainServer(limits, tls, (request, response) => {
    const answered = server.isExpected(request.socket) ? respond(byPath, request) : Promise.resolve(FORBIDDEN);
    void answered.then((answer) => send(response, request, answer));
  });
  return {
    listen: () => server.listen(`listen.${name}`, address),
    setTls: server.setTls,
    close: () => server.close(0),
  };
}

async function respond(
  { read, post }: Readonly<Record<"read" | "post", ReadonlyMap<string, Routes[string]>>>,
  request: IncomingMessage,
): Promise<OpsResponse> {
  const path = request.url ?? "";
  const route = post.get(path) ?? read.get(path);
  if (route === undefined) return NOT_FOUND;
  const methods = post.has(path) ? ["POST"] : ["GET", "HEAD"];
  if (!methods.includes(request.method ?? ""))
    return { status: 405, contentType: "text/plain", body: `${methods[0]} only\n`, allow: methods.join(", ") };
  try {
    return await route(request);
  } catch {
    return FAILED;
  }
}

function send(
  response: ServerResponse,
  request: IncomingMessage,
  { status, contentType, body, etag, allow }: OpsResponse,
): void {
  response.writeHead(status, {
    "content-type": contentType,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...(allow !== undefined && { allow }),
    ...(etag !== undefined && { etag }),
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
