import { describe, expect, it } from "vitest";
import { ALICE } from "../../test/fakes/authz.ts";
import { Secret } from "../secret/secret.ts";
import { createCredentials } from "./chain.ts";
import { noneSource } from "./none.ts";
import type { Lookup, CredentialSource } from "./source.ts";
import { staticSource } from "./static.ts";

const saying = (kind: "vault" | "exchange", answer: Lookup, asked: string[] = []): CredentialSource => ({
  kind,
  get: () => (asked.push(kind), answer),
});
const ask = (...chain: CredentialSource[]) =>
  createCredentials(new Map([["s", chain]]))("s", ALICE, new AbortController().signal);

describe("5.3: not having is not failing", () => {
  it("has none goes on, found ends", async () => {
    const step = await ask(
      saying("vault", { hasNone: "404" }),
      staticSource({ header: "x-api-key", scheme: "", value: new Secret("k") }),
    );
    expect(step.ok && [step.value.kind, step.value.header, step.value.value?.reveal()]).toEqual([
      "static",
      "x-api-key",
      "k",
    ]);
  });
  it("P2.4-4: cannot tell refuses, and the next in the chain is never asked", async () => {
    const asked: string[] = [];
    const step = await ask(
      saying("vault", { cannotTell: "sealed" }, asked),
      saying("exchange", { hasNone: "x" }, asked),
    );
    expect(step).toMatchObject({ ok: false, reason: "credential_unavailable" });
    expect(asked).toEqual(["vault"]);
  });
  it("M10: refused is credential_missing, and the next in the chain is never asked", async () => {
    const asked: string[] = [];
    const step = await ask(
      saying("vault", { refused: "the name cannot be part of a path" }, asked),
      saying("exchange", { hasNone: "x" }, asked),
    );
    expect(step).toMatchObject({ ok: false, reason: "credential_missing" });
    expect(asked).toEqual(["vault"]);
  });
  it("answers that come later are read in the same order and by the same rules", async () => {
    const asked: string[] = [];
    const late = (kind: "vault" | "exchange", answer: Lookup): CredentialSource => ({
      kind,
      get: () => (asked.push(kind), Promise.resolve(answer)),
    });
    const last = staticSource({ header: "x-api-key", scheme: "", value: new Secret("k") });
    expect(await ask(late("vault", { hasNone: "404" }), late("exchange", { hasNone: "x" }), last)).toMatchObject({
      ok: true,
    });
    expect(await ask(late("vault", { refused: "x" }), last)).toMatchObject({ reason: "credential_missing" });
    expect(await ask(late("vault", { cannotTell: "x" }), last)).toMatchObject({ reason: "credential_unavailable" });
    expect(asked).toEqual(["vault", "exchange", "vault", "vault"]);
  });
  it("answers at hand make no promise", () => {
    expect(ask(saying("vault", { hasNone: "404" }), noneSource())).not.toBeInstanceOf(Promise);
  });
  it("the end of the chain is credential_missing, never the caller's own token", async () => {
    expect(await ask(saying("vault", { hasNone: "404" }))).toMatchObject({ ok: false, reason: "credential_missing" });
    expect(await createCredentials(new Map())("nobody", ALICE, new AbortController().signal)).toMatchObject({
      reason: "credential_missing",
    });
  });
  it("what helps is said to a caller who has none or is refused, and to nobody else", async () => {
    const help = new Map([["s", "Connect it at https://gw.example.com/connect"]]);
    const helped = (...answers: Lookup[]) =>
      createCredentials(new Map([["s", answers.map((answer) => saying("vault", answer))]]), new Map(), help)(
        "s",
        ALICE,
        new AbortController().signal,
      );
    const text = { help: "Connect it at https://gw.example.com/connect" };
    expect(await helped({ hasNone: "404" })).toMatchObject({ reason: "credential_missing", ...text });
    expect(await helped({ refused: "not_owner" })).toMatchObject({ reason: "credential_missing", ...text });
    expect(await helped({ cannotTell: "sealed" })).not.toHaveProperty("help");
    expect(await ask(saying("vault", { hasNone: "404" }))).not.toHaveProperty("help");
  });
  it("static has a scheme, none has no value", async () => {
    const bearer = await ask(staticSource({ header: "authorization", scheme: "Bearer", value: new Secret("pat") }));
    expect(bearer.ok && bearer.value.value?.reveal()).toBe("Bearer pat");
    const none = await ask(noneSource());
    expect(none.ok && none.value.value).toBeNull();
  });
});
