// Bytes to Envoy as no well-behaved client sends them.
import { connect } from "node:net";
import { connect as connectHttp2 } from "node:http2";

export interface RawReply {
  /** 0 when the connection ended without an answer. */
  readonly status: number;
  readonly text: string;
}

/** Sends bytes over one connection and reads until the other side ends, or nothing more comes for a moment. */
export function rawRequest(port: number, bytes: string | Buffer, quietMs = 400): Promise<RawReply> {
  return new Promise((done) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    const finish = () => {
      socket.destroy();
      const text = Buffer.concat(chunks).toString("latin1");
      done({ status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0), text });
    };
    socket.setTimeout(quietMs, finish);
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      socket.setTimeout(quietMs);
    });
    socket.on("end", finish);
    socket.on("error", finish);
  });
}

export interface RawParts {
  readonly method?: string;
  readonly target?: string;
  readonly host?: string | null;
  readonly headers?: readonly string[];
  readonly body?: string | Buffer;
  readonly contentLength?: number | null;
}

/** An HTTP/1.1 request with exactly these lines. */
export function rawBytes(parts: RawParts): Buffer {
  const body = Buffer.from(parts.body ?? "");
  const length = parts.contentLength === undefined ? body.length : parts.contentLength;
  const lines = [
    `${parts.method ?? "POST"} ${parts.target ?? "/servers/demo/mcp"} HTTP/1.1`,
    ...(parts.host === null ? [] : [`Host: ${parts.host ?? "127.0.0.1"}`]),
    ...(parts.headers ?? []),
    ...(length === null ? [] : [`Content-Length: ${length}`]),
    "",
    "",
  ];
  return Buffer.concat([Buffer.from(lines.join("\r\n"), "latin1"), body]);
}

/** One HTTP/2 request whose body goes in these frames, the last one with END_STREAM. */
export function http2Post(
  port: number,
  headers: Readonly<Record<string, string>>,
  frames: readonly Buffer[],
): Promise<RawReply> {
  return new Promise((done) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    session.on("error", () => done({ status: 0, text: "" }));
    const stream = session.request({
      ":method": "POST",
      ":path": "/servers/demo/mcp",
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...headers,
    });
    let status = 0;
    let text = "";
    stream.on("response", (answer) => {
      status = answer[":status"] ?? 0;
    });
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    const finish = () => {
      session.destroy();
      done({ status, text });
    };
    stream.on("end", finish);
    stream.on("error", finish);
    frames.forEach((frame, i) => (i === frames.length - 1 ? stream.end(frame) : stream.write(frame)));
  });
}
