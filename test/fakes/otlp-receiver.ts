// A collector that takes OTLP over HTTP in JSON (opentelemetry.io/docs/specs/otlp) and keeps the spans.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A span as it came, with its attributes by name. */
export interface ReceivedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | null;
  readonly name: string;
  readonly kind: number;
  readonly isError: boolean;
  readonly attributes: Readonly<Record<string, string | number>>;
}

export interface OtlpReceiver {
  /** Of traces. */
  readonly endpoint: string;
  readonly spans: ReceivedSpan[];
  readonly requests: { readonly headers: IncomingHttpHeaders; readonly body: string }[];
  /** Answers in place of 200. */
  onRequest: ((response: ServerResponse) => void) | null;
  close(): Promise<void>;
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number };
}
interface Body {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<ReceivedSpan, "attributes"> & {
        readonly attributes: readonly Attribute[];
        readonly status: { readonly code: number };
      })[];
    }[];
  }[];
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      receiver.requests.push({ headers: request.headers, body });
      if (receiver.onRequest !== null) return receiver.onRequest(response);
      receiver.spans.push(...spansIn(JSON.parse(body) as Body));
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const receiver: OtlpReceiver = {
    ...{ endpoint: `http://127.0.0.1:${port}/v1/traces`, spans: [], requests: [], onRequest: null },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return receiver;
}

function spansIn({ resourceSpans }: Body): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(({ attributes, status, parentSpanId, ...span }) => ({
        ...span,
        parentSpanId: parentSpanId ?? null,
        service: String(byName(resource.attributes)["service.name"]),
        isError: status.code === 2,
        attributes: byName(attributes),
      })),
    ),
  );
}

function byName(attributes: readonly Attribute[]): Record<string, string | number> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? ""]));
}

/** The spans of a trace as a tree of names, each with its children behind it, in the order of their names; equal ones once. */
export function treeOf(spans: readonly ReceivedSpan[], parent: string | null): unknown[] {
  const trees = spans
    .filter((span) => span.parentSpanId === parent)
    .map((span) => JSON.stringify([span.name, ...treeOf(spans, span.spanId)]));
  return [...new Set(trees)].toSorted().map((tree) => JSON.parse(tree) as unknown);
}
