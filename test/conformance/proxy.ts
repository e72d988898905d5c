// A loopback proxy before the gateway that adds the bearer token, for which the suite has no option. It also puts the suite's
// URIs into those of /mcp and back: a resource `U` of server `S` is `S+U` there. All else passes as it came: Host, Origin,
// streams, and a client that leaves.
import { createServer, request as open, type IncomingHttpHeaders, type IncomingMessage, type Server } from "node:http";
import { Transform } from "node:stream";

export interface ProxyOptions {
  readonly port: number;
  /** The gateway's port. */
  readonly target: number;
  readonly token: () => string;
  /** `suite` in requests becomes `ours`, `ours` in responses becomes `suite`. */
  readonly uris?: { readonly suite: string; readonly ours: string };
}

export async function startProxy({ port, target, token, uris }: ProxyOptions): Promise<Server> {
  const server = createServer((incoming, outgoing) => {
    void requestBody(incoming, uris).then((body) => {
      const headers = { ...onwardHeaders(incoming.headers, uris), authorization: `Bearer ${token()}` };
      if (body !== null) Object.assign(headers, { "content-length": body.length });
      const { method, url } = incoming;
      const onward = open({ host: "127.0.0.1", port: target, method, path: url, headers }, (answer) => {
        const { "content-length": length, ...others } = answer.headers;
        const same = uris === undefined && length !== undefined;
        outgoing.writeHead(answer.statusCode ?? 502, same ? answer.headers : others);
        outgoing.flushHeaders();
        answer.on("error", () => outgoing.destroy());
        if (uris === undefined) answer.pipe(outgoing);
        else answer.pipe(replacing(uris.ours, uris.suite)).pipe(outgoing);
      });
      onward.on("error", () => (outgoing.headersSent ? outgoing.destroy() : outgoing.writeHead(502).end()));
      outgoing.on("close", () => onward.destroy());
      if (body === null) incoming.pipe(onward);
      else onward.end(body);
    });
  });
  server.requestTimeout = 0;
  await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
  return server;
}

function onwardHeaders(headers: IncomingHttpHeaders, uris: ProxyOptions["uris"]): IncomingHttpHeaders {
  const name = headers["mcp-name"];
  if (uris === undefined || typeof name !== "string") return headers;
  return { ...headers, "mcp-name": inOurs(name, uris) };
}

async function requestBody(incoming: IncomingMessage, uris: ProxyOptions["uris"]): Promise<Buffer | null> {
  if (uris === undefined || incoming.method !== "POST") return null;
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.from(inOurs(Buffer.concat(chunks).toString(), uris));
}

/** The suite's URIs in ours; one of a list, which has its server in front, is left. */
function inOurs(text: string, { suite, ours }: NonNullable<ProxyOptions["uris"]>): string {
  return text.replaceAll(suite, (found, at: number) => (text[at - 1] === "+" ? found : ours));
}

/** Holds back only what may be the beginning of `from`, so that each event of a stream passes as it comes. */
function replacing(from: string, to: string): Transform {
  let held = "";
  return new Transform({
    decodeStrings: true,
    transform(chunk: Buffer, _, done) {
      const text = (held + chunk.toString("latin1")).replaceAll(from, to);
      const keep = longestEnd(text, from);
      held = text.slice(text.length - keep);
      done(null, Buffer.from(text.slice(0, text.length - keep), "latin1"));
    },
    flush(done) {
      done(null, Buffer.from(held, "latin1"));
    },
  });
}

function longestEnd(text: string, of: string): number {
  for (let length = Math.min(of.length - 1, text.length); length > 0; length--)
    if (of.startsWith(text.slice(text.length - length))) return length;
  return 0;
}
