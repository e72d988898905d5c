// Servers that list as many names as may be, as long as they may be, from the first listing on: the other servers' lists
// are there for everybody.
import { afterAll, describe, expect, it } from "vitest";
import { legacy } from "../e2e/client.ts";
import { startHostileServer, withoutCredential, type HostileServer } from "./hostile.ts";
import { openAttackLab, told, type AttackLab } from "./lab.ts";

const all = { tool: ["*"], prompt: ["*"], resource: ["*"] };
const many = (make: (i: number) => object) => Array.from({ length: 1000 }, (_, i) => make(i));
const tool = (name: string) => ({ name, inputSchema: { type: "object" } });

const KINDS = {
  "long names of tools": { "tools/list": { tools: many((i) => tool(`t${i}`.padEnd(118, "x"))) } },
  "long names of prompts": { "prompts/list": { prompts: many((i) => ({ name: `p${i}`.padEnd(118, "x") })) } },
  "long URIs": {
    "resources/list": { resources: many((i) => ({ uri: `docs://${i}${"中".repeat(2030)}`, name: "r" })) },
  },
  "long definitions": {
    "tools/list": { tools: many((i) => ({ ...tool(`t${i}`), description: "d".repeat(7000) })) },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, object>>>>;

describe.each(Object.entries(KINDS))("three servers with %s [F5]", (_, lists: Readonly<Record<string, object>>) => {
  let lab: AttackLab | undefined;
  let server: HostileServer | undefined;
  afterAll(async () => {
    await lab?.stop();
    await server?.close();
  });

  it("the lists of the others are there, and what they name", async () => {
    server = await startHostileServer({ lists: (method) => lists[method] });
    const each = <T>(value: T) => ({ a: value, b: value, c: value });
    lab = await openAttackLab({ servers: each(withoutCredential(server.url)), grants: each(all) });
    await lab.listable();
    const token = await lab.idp.mint("alice");
    const expected = ["echo", "search_docs", "transfer", "whoami"];
    expect((await namesListed(lab, token, "/servers/demo/mcp")).sort()).toEqual(expected);
    const merged = await namesListed(lab, token, "/mcp");
    expect(merged.filter((name) => name.startsWith("demo"))).toHaveLength(expected.length);
    const { body } = await lab.ready("serve");
    expect(body).toMatchObject({ ready: true, catalog: { ageSeconds: expect.any(Number) as number } });
  });
});

/** The tools of all pages. */
async function namesListed({ gateway }: AttackLab, token: string, path: string): Promise<string[]> {
  const names: string[] = [];
  let cursor: string | undefined;
  do {
    const reply = await legacy(gateway, "tools/list", cursor === undefined ? {} : { cursor }, { token, path });
    expect(told(reply), path).toBe("200");
    const result = reply.message?.["result"] as { tools?: { name: string }[]; nextCursor?: string } | undefined;
    names.push(...(result?.tools ?? []).map(({ name }) => name));
    cursor = result?.nextCursor;
  } while (cursor !== undefined);
  return names;
}
