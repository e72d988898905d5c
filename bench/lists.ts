// A warm list of 20 tools on /mcp, of 200 and of 10,000, against a handler of node:http that returns the same bytes from memory.
import { writeFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { join } from "node:path";
import type { Call } from "./harness.ts";
import type { Target } from "./target.ts";
import { firstLine, ORIGIN, type World } from "./world.ts";

const BODY = Buffer.from(
  JSON.stringify({
    jsonrpc: "2.0",
    id: 7,
    method: "tools/list",
    params: {
      _meta: {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
      },
    },
  }),
);
const HEADERS = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": "tools/list",
  "content-length": String(BODY.length),
};
/** Of one server; more are spread over several, as in a company. */
const TOOLS_PER_SERVER = 200;
const VISIBLE = 20;

/** Posts the list request; resolves with the body of a 200. */
function lister(address: string, headers: Readonly<Record<string, string>>): () => Promise<Buffer> {
  const agent = new Agent({ keepAlive: true });
  const { hostname: host, port } = new URL(`http://${address}`);
  const options = { host, port, method: "POST", path: "/mcp", headers, agent };
  return () =>
    new Promise((done, fail) => {
      const request = httpRequest(options, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () =>
          response.statusCode === 200
            ? done(Buffer.concat(chunks))
            : fail(new Error(`${address}: status ${response.statusCode}`)),
        );
      });
      request.on("error", fail);
      request.end(BODY);
    });
}

/** A broker over so many tools, and the list of one caller. */
async function startBroker(world: World, tools: number) {
  const names = Array.from({ length: tools / TOOLS_PER_SERVER }, (_, i) => `s${String(i).padStart(2, "0")}`);
  const servers: Record<string, object> = {};
  for (const name of names) {
    const port = await firstLine(world.spawn(["bench/list-peer.ts", "server", String(TOOLS_PER_SERVER)]));
    servers[name] = { url: `http://127.0.0.1:${port}/mcp`, credential: [{ none: {} }] };
  }
  const { child, address } = await world.start("broker", { limits: { callsPerCaller: 1024 }, servers });
  const list = lister(address, { ...HEADERS, ...granted(world, names) });
  const body = await list();
  const { result } = JSON.parse(body.toString()) as { result: { tools: unknown[] } };
  if (result.tools.length !== VISIBLE) throw new Error(`${result.tools.length} tools are shown, not ${VISIBLE}`);
  return { child, list, body };
}

/** The headers that Envoy sets for `serve`: the visible tools are spread over the servers. */
function granted({ sign }: World, servers: readonly string[]): Record<string, string> {
  const now = Math.floor(Date.now() / 1000);
  const tools: Record<string, string[]> = {};
  for (let i = 0; i < VISIBLE; i += 1) {
    const server = servers[i % servers.length] ?? "";
    (tools[server] ??= []).push(`tool_${String(i).padStart(5, "0")}`);
  }
  const wristband = sign("wristband+jwt", {
    ...{ iss: ORIGIN, aud: "mcp-broker", sub: "alice", idp: ORIGIN, client: "", iat: now, exp: now + 3600, jti: "j" },
    ...{ use: "list", caller_exp: now + 3600, tools, prompts: {}, resources: {} },
  });
  return { "x-authorized-tools": wristband };
}

const answered = (list: () => Promise<Buffer>): Call => {
  return async () => void (await list());
};

/** The two targets for one size of catalogue. */
function targetsOf(tools: number): readonly Target[] {
  const memory = `memory-${tools}`;
  return [
    {
      name: memory,
      title: `the same bytes, of ${tools}, from memory`,
      against: null,
      async start(world) {
        const { body } = await startBroker(world, tools);
        const file = join(world.folder, `list-${tools}.json`);
        writeFileSync(file, body);
        const child = world.spawn(["bench/list-peer.ts", "memory", file]);
        return { child, call: answered(lister(`127.0.0.1:${await firstLine(child)}`, HEADERS)) };
      },
    },
    {
      name: `list-${tools}`,
      title: `list of ${VISIBLE} of ${tools} tools`,
      against: memory,
      async start(world) {
        const { child, list } = await startBroker(world, tools);
        return { child, call: answered(list) };
      },
    },
  ];
}

export const listTargets: readonly Target[] = [200, 10_000].flatMap(targetsOf);
