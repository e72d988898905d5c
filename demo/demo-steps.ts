// What the demo shows, as lines that a person can paste: printed by `npm start` and by compose, run by the smoke test.
import { readFileSync } from "node:fs";

export interface DemoStep {
  readonly title: string;
  readonly person: "alice" | "bob" | "carol" | null;
  readonly path: string;
  readonly method: string;
  /** JSON. */
  readonly params: string;
  /** True: of the answer only its status and the names in it, where the whole would fill the terminal. */
  readonly namesOnly?: boolean;
  /** Text that the answer holds, headers included. */
  readonly shows: readonly string[];
}

const tool = (name: string, args = "{}") => ({
  method: "tools/call",
  params: `{"name":"${name}","arguments":${args}}`,
});

export const WORLD_STEPS: readonly DemoStep[] = [
  {
    title: "alice's tools of all servers, on one endpoint:",
    person: "alice",
    path: "/mcp",
    method: "tools/list",
    params: "{}",
    namesOnly: true,
    shows: ["HTTP/1.1 200", '"demo_whoami"', '"tickets_whoami"', '"everything_get-sum"', '"budget_get-budget-data"'],
  },
  {
    title: 'alice calls one of "demo". The server receives her own credential, which OpenBao holds, and not her token:',
    person: "alice",
    path: "/mcp",
    ...tool("demo_whoami"),
    shows: ["HTTP/1.1 200", "Bearer pat-of-alice-for-demo"],
  },
  {
    title: 'OpenBao holds none for "tickets": her token is exchanged for one of that server alone:',
    person: "alice",
    path: "/mcp",
    ...tool("tickets_whoami"),
    shows: ["HTTP/1.1 200", "Bearer eyJ"],
  },
  {
    title: "carol may call it too, but nobody has a credential of hers:",
    person: "carol",
    path: "/mcp",
    ...tool("tickets_whoami"),
    shows: ["HTTP/1.1 200", '"code":403', '"reason":"credential_missing"', '"help":"In this demo'],
  },
  {
    title: "bob's list is empty:",
    person: "bob",
    path: "/mcp",
    method: "tools/list",
    params: "{}",
    shows: ["HTTP/1.1 200", '"tools":[]'],
  },
  {
    title: "A tool that policy withholds is refused as if it did not exist:",
    person: "alice",
    path: "/mcp",
    ...tool("demo_delete_repo", '{"name":"x"}'),
    shows: ["HTTP/1.1 200", '"reason":"policy_denied"'],
  },
  {
    title: "Nobody in particular gets 401 and where to log in:",
    person: null,
    path: "/mcp",
    method: "tools/list",
    params: "{}",
    shows: ["HTTP/1.1 401", "resource_metadata=", "/.well-known/oauth-protected-resource/mcp"],
  },
];

export interface DemoPlace {
  readonly gateway: string;
  /** A shell command that prints this person's token: it must not stand in the shell's history. */
  readonly tokenCommand: (person: string) => string;
}

/** The compose stack, for a shell in the folder of docker-compose.yml. */
export function composePlace(gateway: string): DemoPlace {
  return { gateway, tokenCommand: (person) => `docker compose exec -T idp token ${person}` };
}

/** Why alice is refused a tool that policy withholds, asked of the compose stack. */
export function composeWhyLine({ tokenCommand }: DemoPlace): string {
  return `${tokenCommand("alice")} | docker compose exec -T serve mcp-authz why --token-file - --server demo --tool delete_repo`;
}

/** A step as one shell line. */
export function curlLine({ gateway, tokenCommand }: DemoPlace, step: DemoStep): string {
  const body = `{"jsonrpc":"2.0","id":1,"method":"${step.method}","params":${step.params}}`;
  const token = step.person === null ? "" : `-H "Authorization: Bearer $(${tokenCommand(step.person)})" `;
  return `curl -si ${gateway}${step.path} ${token}-H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -d '${body}'${step.namesOnly === true ? NAMES_ONLY : ""}`;
}

const NAMES_ONLY = ` | grep -oE '^HTTP/[0-9.]+ [0-9]+|"name":"[^"]*"'`;

/** By scope and version: a bare name could be anybody's package, where the lockfile is not at hand. */
function inspectorCommand(): string {
  const { devDependencies } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    devDependencies: Readonly<Record<string, string>>;
  };
  const name = "@modelcontextprotocol/inspector";
  return `npx ${name}@${devDependencies[name] ?? ""}`;
}

/** A line for a real MCP client, the Inspector. */
export function inspectorLine({ gateway, tokenCommand }: DemoPlace, person: string, method: string): string {
  return `${inspectorCommand()} --cli --server-url ${gateway}/servers/demo/mcp --transport http --header "Authorization: Bearer $(${tokenCommand(person)})" ${method}`;
}

/** Lines for clients that people use, from nothing but the URL: each finds the login by itself. */
export function clientLines(gateway: string): string {
  const url = `${gateway}/mcp`;
  return [
    `Claude Code:  claude mcp add --transport http mcp-authz ${url}`,
    `VS Code:      code --add-mcp '{"name":"mcp-authz","type":"http","url":"${url}"}'`,
    `Inspector:    ${inspectorCommand()} --server-url ${url} --transport http`,
  ].join("\n   ");
}

/** The numbered steps, to be printed. */
export function printedSteps(place: DemoPlace, steps: readonly DemoStep[]): string {
  return steps.map((step, i) => `${i + 1}. ${step.title}\n   ${curlLine(place, step)}`).join("\n");
}
