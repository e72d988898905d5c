// What the demo shows, as lines that a person can paste: printed by `npm start` and by compose, run by the smoke test.

export interface DemoStep {
  readonly title: string;
  readonly person: "alice" | "bob" | null;
  readonly tool: string;
  readonly args: string;
  /** Text that the answer holds, headers included. */
  readonly shows: readonly string[];
}

export const DEMO_STEPS: readonly DemoStep[] = [
  {
    title: "alice calls a tool. The server receives the gateway's credential, not her token:",
    person: "alice",
    tool: "whoami",
    args: "{}",
    shows: ["HTTP/1.1 200", "Bearer demo-credential-of-the-gateway"],
  },
  {
    title: "alice calls a tool that policy withholds:",
    person: "alice",
    tool: "delete_repo",
    args: '{"name":"x"}',
    shows: ["HTTP/1.1 200", '"reason":"policy_denied"'],
  },
  {
    title: "bob may use nothing here:",
    person: "bob",
    tool: "whoami",
    args: "{}",
    shows: ["HTTP/1.1 200", '"reason":"policy_denied"'],
  },
  {
    title: "Nobody in particular gets 401 and where to log in:",
    person: null,
    tool: "whoami",
    args: "{}",
    shows: ["HTTP/1.1 401", "resource_metadata=", "/.well-known/oauth-protected-resource/servers/demo/mcp"],
  },
];

export interface DemoPlace {
  readonly gateway: string;
  /** A shell command that prints this person's token: it must not stand in the shell's history. */
  readonly tokenCommand: (person: string) => string;
}

/** The compose stack, for a shell in the folder of compose.yaml. */
export function composePlace(gateway: string): DemoPlace {
  return { gateway, tokenCommand: (person) => `docker compose exec -T idp token ${person}` };
}

/** A step as one shell line. */
export function curlLine({ gateway, tokenCommand }: DemoPlace, step: DemoStep): string {
  const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${step.tool}","arguments":${step.args}}}`;
  const token = step.person === null ? "" : `-H "Authorization: Bearer $(${tokenCommand(step.person)})" `;
  return `curl -si ${gateway}/servers/demo/mcp ${token}-H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -d '${body}'`;
}

/** A line for a real MCP client, the Inspector. */
export function inspectorLine({ gateway, tokenCommand }: DemoPlace, person: string, method: string): string {
  return `npx mcp-inspector --cli --server-url ${gateway}/servers/demo/mcp --transport http --header "Authorization: Bearer $(${tokenCommand(person)})" ${method}`;
}

/** The numbered steps, to be printed. */
export function printedSteps(place: DemoPlace): string {
  return DEMO_STEPS.map((step, i) => `${i + 1}. ${step.title}\n   ${curlLine(place, step)}`).join("\n");
}
