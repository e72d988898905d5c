// Hostile MCP servers in a process of their own. Reports the URL; a second message (any) begins the hostility of lists.
import { setPriority } from "node:os";
import { startHostileServer, type HostileOptions, type HostileRequest } from "../hostile.ts";

export interface HostileTask {
  readonly kind: keyof typeof KINDS;
}

/** Notifications as fast as they are taken, and no answer. */
function flood({ response }: HostileRequest): void {
  const event = { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "y".repeat(1000) } };
  const events = `data: ${JSON.stringify(event)}\n\n`.repeat(200);
  response.writeHead(200, { "content-type": "text/event-stream" });
  const more = () => {
    while (response.write(events));
  };
  response.on("drain", more);
  more();
}

/** Just below what one answer may have (8 MiB). */
const BIG = "x".repeat(7_900_000);
let hostile = false;
let listing = 0;

const many = (make: (i: number) => object) => Array.from({ length: 1000 }, (_, i) => make(i));

/** As many names as may be, as long as they may be, and others each time. */
function names(method: string): object | undefined {
  if (!hostile) return undefined;
  listing += 1;
  const long = (i: number) => `t${listing}_${i}`.padEnd(118, "x");
  if (method === "tools/list") return { tools: many((i) => ({ name: long(i), inputSchema: { type: "object" } })) };
  return method === "prompts/list" ? { prompts: many((i) => ({ name: long(i) })) } : undefined;
}

/** The same with URIs: 6 MB. */
function uris(method: string): object | undefined {
  if (!hostile || method !== "resources/list") return undefined;
  listing += 1;
  return { resources: many((i) => ({ uri: `docs://${listing}_${i}${"中".repeat(2030)}`, name: "r" })) };
}

const KINDS = {
  flood: { call: flood },
  big: { call: ({ result }: HostileRequest) => result({ content: [{ type: "text", text: BIG }] }) },
  names: { lists: names },
  uris: { lists: uris },
} as const satisfies Readonly<Record<string, HostileOptions>>;

process.once("message", ({ kind }: HostileTask) => {
  setPriority(10);
  process.on("message", () => (hostile = true));
  void startHostileServer(KINDS[kind]).then(({ url }) => process.send?.(url));
});
