import { describe, expect, it } from "vitest";
import { ALICE } from "../../test/fakes/authz.ts";
import { Secret } from "../authz/secret.ts";
import { createCredentials } from "./chain.ts";
import { noneSource } from "./none.ts";
import type { Answer, CredentialSource } from "./source.ts";
import { staticSource } from "./static.ts";

const saying = (kind: "vault" | "exchange", answer: Answer, asked: string[] = []): CredentialSource => ({
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
  it("the end of the chain is credential_missing, never the caller's own token", async () => {
    expect(await ask(saying("vault", { hasNone: "404" }))).toMatchObject({ ok: false, reason: "credential_missing" });
    expect(await createCredentials(new Map())("nobody", ALICE, new AbortController().signal)).toMatchObject({
      reason: "credential_missing",
    });
  });
  it("static has a scheme, none has no value", async () => {
    const bearer = await ask(staticSource({ header: "authorization", scheme: "Bearer", value: new Secret("pat") }));
    expect(bearer.ok && bearer.value.value?.reveal()).toBe("Bearer pat");
    const none = await ask(noneSource());
    expect(none.ok && none.value.value).toBeNull();
  });
});
