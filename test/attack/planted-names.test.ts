// Spellings of names that the JSON.parse of Node 24 takes for others, once a request before has planted them: refused before
// policy, so that no server reads another argument than policy did.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { post, type Reply } from "../e2e/client.ts";
import { openAttackLab, told, type AttackLab } from "./lab.ts";

const SLOW = "trigger-long-running-operation"; // of server-everything: `duration` is optional, its default 10 s
const RULE = `within_limits if not input.mcp.name in {"transfer", "${SLOW}"}

within_limits if {
	input.mcp.name == "${SLOW}"
	is_number(input.mcp.arguments.duration)
	input.mcp.arguments.duration <= 2
}`;

let lab: AttackLab;
let alice: string;

beforeAll(async () => {
  const rego = (text: string) => text.replace('within_limits if input.mcp.name != "transfer"', RULE);
  lab = await openAttackLab({ world: true, rego });
  alice = await lab.idp.mint("alice");
});
afterAll(() => lab.stop());

function send(server: string, body: string): Promise<Reply> {
  return post(lab.gateway, body, { token: alice, path: `/servers/${server}/mcp` });
}

function call(server: string, name: string, args: string): Promise<Reply> {
  const params = `{"name":"${name}","arguments":${args}}`;
  return send(server, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`);
}

describe("an argument that policy demands [F2]", () => {
  it("is wanted as a small number", async () => {
    expect(told(await call("everything", SLOW, '{"duration":60}'))).toBe("200 policy_denied");
    expect(told(await call("everything", SLOW, "{}"))).toBe("200 policy_denied");
    expect((await call("everything", SLOW, '{"duration":1}')).text).toContain("Duration: 1 seconds");
  });

  it.each([
    ["by its last letter", String.raw`{"q7":0,"duratio\\":1}`, String.raw`{"q7":0,"duratio\u006e":1}`],
    ["by its first", String.raw`{"q8":0,"\\u00":1}`, String.raw`{"q8":0,"\u0064uration":1}`],
    ["by a letter in the middle", String.raw`{"q9":0,"dur\\":1}`, String.raw`{"q9":0,"dur\u0061tion":1}`],
    ["as the first of its object", String.raw`{"durat\\":1}`, String.raw`{"durat\u0069on":1}`],
  ])("%s: neither planted nor taken for another", async (_, planted, escaped) => {
    expect(told(await call("everything", "echo", planted))).toBe("400 body_malformed");
    const reply = await call("everything", SLOW, escaped);
    expect(reply.text).not.toContain("Duration: 10 seconds");
    expect(told(reply)).toBe("400 body_malformed");
  });
});

const BACKSLASH = String.raw`\\`;

describe("a name of the message itself [F2]", () => {
  it.each([
    [
      "arguments",
      `{"name":"echo","argument${BACKSLASH}":{"text":"x"}}`,
      String.raw`{"name":"echo","argument\u0073":{"text":"x"}}`,
    ],
    [
      "name",
      `{"nam${BACKSLASH}":"echo","arguments":{"text":"x"}}`,
      String.raw`{"nam\u0065":"echo","arguments":{"text":"x"}}`,
    ],
    [
      "_meta",
      `{"name":"echo","arguments":{"text":"x"},"_met${BACKSLASH}":{}}`,
      String.raw`{"name":"echo","arguments":{"text":"x"},"_met\u0061":{}}`,
    ],
  ])("%s in params", async (_, planted, escaped) => {
    const of = (params: string) =>
      send("demo", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`).then(told);
    expect([await of(planted), await of(escaped)]).toEqual(["400 body_malformed", "400 body_malformed"]);
  });

  it.each([
    ["params", `"method":"tools/list","param${BACKSLASH}":{}`, String.raw`"method":"tools/list","param\u0073":{}`],
    ["method", `"method":"tools/list","metho${BACKSLASH}":1`, String.raw`"metho\u0064":"tools/list"`],
    ["jsonrpc", `"method":"tools/list","jsonrp${BACKSLASH}":1`, String.raw`"jsonr\u0070c":"2.0","method":"tools/list"`],
  ])("%s", async (_, planted, escaped) => {
    const start = escaped.includes("jsonr") ? "" : '"jsonrpc":"2.0",';
    const of = (rest: string) => send("demo", `{${start}"id":1,${rest}}`).then(told);
    expect(await send("demo", `{"jsonrpc":"2.0","id":1,${planted}}`).then(told)).toBe("400 body_malformed");
    expect(await of(escaped)).toBe("400 body_malformed");
  });

  it.each([
    ["of an object in an argument", String.raw`{"text":"x","o":{"a\\":1}}`],
    ["of an object in an array", String.raw`{"text":"x","o":[{"a\\b":1}]}`],
    ["spelled with its code", String.raw`{"text":"x","a\u005c":1}`],
    ["of escaped letters alone", String.raw`{"\u0074\u0065\u0078\u0074":"x"}`],
    ["with a solidus escaped by its code", String.raw`{"text":"x","a\u002fb":1}`],
    ["with an underscore escaped by its code", String.raw`{"text":"x","a\u005fb":1}`],
  ])("%s", async (_, args) => {
    expect(told(await call("demo", "echo", args))).toBe("400 body_malformed");
  });
});

describe("what JSON writers do write goes on [F2]", () => {
  it.each([
    ["escapes in a value", String.raw`{"text":"\u0041\\\n\u00e9"}`, String.raw`A\\\né`],
    ["a name beyond ASCII, as Python escapes it", String.raw`{"text":"fine","gr\u00fc\u00dfe":1}`, "fine"],
    ["a name beyond the first plane", String.raw`{"text":"fine","\ud83d\ude00":1}`, "fine"],
  ])("%s", async (_, args, expected) => {
    const reply = await call("demo", "echo", args);
    expect(told(reply)).toBe("200");
    expect(reply.text).toContain(expected);
  });
});

describe("an argument that policy forbids, in another case [F17]", () => {
  it.each(["Amount", "AMOUNT", "aMount"])("%s beside the right one is refused", async (name) => {
    const reply = await call("demo", "transfer", `{"to":"x","amount":1,"${name}":5000}`);
    expect(told(reply)).toBe("400 body_malformed");
  });
});
