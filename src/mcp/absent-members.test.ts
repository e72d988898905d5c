import { describe, expect, it } from "vitest";
import { headersOf } from "../../test/fakes/authz.ts";
import { refuseBody } from "../authz/step.ts";
import { readOperation } from "./read-operation.ts";

const read = (method: string, params: string, id = ',"id":1') =>
  readOperation(Buffer.from(`{"jsonrpc":"2.0","method":"${method}"${id},"params":${params}}`), headersOf([]));

describe("B14: null for what may be left out is absence", () => {
  it.each([
    ["tools/call", '{"name":"a","arguments":null}'],
    ["tools/call", '{"name":"a","arguments":null,"_meta":null}'],
    ["prompts/get", '{"arguments":null,"name":"a"}'],
    ["resources/read", '{"uri":"docs://a","_meta":null}'],
    ["tools/list", "null"],
    ["tools/list", '{"cursor":null}'],
    ["prompts/list", '{"_meta":null,"cursor":null}'],
    ["ping", "null"],
  ])("%s %s", (method, params) => {
    const result = read(method, params);
    if (!result.ok) throw new Error(result.fault.detail);
    expect(Object.keys(result.operation.arguments)).toEqual([]);
    for (const name of ["arguments", "_meta", "cursor"]) expect(result.params).not.toHaveProperty(name);
  });

  it("also of a notification", () => expect(read("notifications/initialized", "null", "").ok).toBe(true));

  it("a member called as those of Object is none of them", () => {
    const result = read("tools/call", '{"name":"a","arguments":null,"__proto__":{"cursor":"x"},"constructor":1}');
    if (!result.ok) throw new Error(result.fault.detail);
    expect(result.params["cursor"]).toBeUndefined();
    expect(Object.getPrototypeOf(result.params)).toBeNull();
  });
});

describe("a refusal of a body says what is wrong with it", () => {
  it.each([
    ["tools/call", '{"name":"a","arguments":[]}', "arguments is not an object"],
    ["tools/call", '{"name":null}', "name is not a string"],
    ["tools/call", '{"name":"a","_meta":1}', "_meta is not an object"],
    ["tools/call", "[]", "params is not an object"],
    ["completion/complete", '{"ref":null}', "ref is not an object"],
    ["tools/call", '{"name":"a","arguments":{"id":725653563933458432}}', "an integer beyond 2^53 - 1: send it as text"],
    ["tools/call", '{"name":"a","name":"b"}', "a name comes twice, or two names differ only in case"],
  ])("%s %s: %s", (method, params, about) => {
    const result = read(method, params);
    expect(result.ok ? null : refuseBody(result.fault)).toMatchObject({ about });
  });
});

describe("B10: a call whose only fault is an integer keeps its id, so that its model can mend it", () => {
  const call = (args: string, id = "41", method = "tools/call") =>
    readOperation(
      Buffer.from(`{"params":{"arguments":${args},"name":"a"},"method":"${method}","id":${id},"jsonrpc":"2.0"}`),
      headersOf([]),
    );
  const fault = { reason: "body_malformed", detail: "an integer beyond 2^53 - 1: send it as text" };

  it.each(['{"id":725653563933458432}', '{"a":[{"b":-9007199254740993}]}', '{"n":12345678901234567890}'])(
    "%s",
    (args) => {
      for (const id of ["41", '"x"'])
        expect(call(args, id)).toMatchObject({
          ...{ ok: false, fault },
          rpc: { id: JSON.parse(id) as unknown, notification: false, isToolCall: true },
        });
      expect(call(args, "41", "prompts/get")).toMatchObject({ ok: false, fault, rpc: { id: 41 } });
      expect(call(args, "41", "prompts/get").ok || "isToolCall" in (call(args, "41", "prompts/get") as never)).toBe(
        false,
      );
    },
  );

  it.each<[string, string, string]>([
    ["an id that is such a number", '{"a":1}', "12345678901234567890"],
    ["a name that comes twice", '{"a":12345678901234567890,"a":1}', "41"],
    ["an id twice", '{"a":12345678901234567890}', '41,"id":42'],
    ["a member in another case", '{"a":12345678901234567890}', '41,"ID":42'],
    ["no id", '{"a":12345678901234567890}', "null"],
  ])("not with %s", (_, args, id) => {
    expect(call(args, id)).toMatchObject({ ok: false, rpc: { id: null } });
  });
});
