// An attacker, in a process of its own: connections of HTTP/2 whose streams have bodies that never end. A stream or connection
// that is ended is opened anew. Node can abort when it collects a session that was destroyed in the midst (assertion
// current_nghttp2_memory_ of node_http2.cc, 24.21): that must not end the test.
import { connect } from "node:http2";

export interface UnfinishedHttp2 {
  readonly gateway: string;
  readonly connections: number;
  readonly streams: number;
  readonly bodyBytes: number;
  readonly headers: Readonly<Record<string, string>>;
}

const { gateway, connections, streams, bodyBytes, headers } = JSON.parse(process.argv[2] ?? "") as UnfinishedHttp2;

let connected = 0;

function open(): void {
  const session = connect(gateway);
  session.on("connect", () => {
    connected += 1;
    if (connected === connections) process.send?.("begun");
  });
  session.on("error", () => {});
  session.on("close", () => setTimeout(open, 100));
  const one = () => {
    if (session.destroyed || session.closed) return;
    const stream = session.request({
      ":method": "POST",
      ":path": "/mcp",
      "content-type": "application/json",
      ...headers,
    });
    stream.on("error", () => {});
    stream.on("close", () => setTimeout(one, 100));
    stream.resume();
    stream.write(Buffer.alloc(bodyBytes - 64, 32));
  };
  for (let i = 0; i < streams; i += 1) one();
}

for (let i = 0; i < connections; i += 1) open();
