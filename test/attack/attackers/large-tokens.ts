// One caller with valid tokens that are large and each another one: what serve keeps of them is bounded.
import { randomUUID } from "node:crypto";
import { importJWK, SignJWT, type JWK } from "jose";
import { Bucket, createGun, runAttacker, withHands, type AttackTask } from "./attacker.ts";

export interface LargeTokens extends AttackTask {
  readonly issuer: string;
  readonly audience: string;
  /** The issuer's private key: signing is part of what the attacker's side costs. */
  readonly key: JWK;
  readonly perSecond: number;
}

/** Claims of 8 KB: a token of 11 KB, or 13 KB with 850 of them; 16 KiB is the most. */
const GROUPS = Array.from({ length: 850 }, (_, i) => `g-${100_000 + i}`);
const BODY = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';

runAttacker((task: LargeTokens, counts) => {
  const pace = new Bucket(task.perSecond);
  const fire = createGun(task, 16, counts);
  const key = importJWK(task.key, "ES256");
  const token = async () =>
    new SignJWT({ groups: GROUPS, jti: randomUUID(), scope: "mcp:read", client_id: "x" })
      .setProtectedHeader({ alg: "ES256", kid: task.key.kid ?? "", typ: "at+jwt" })
      .setIssuer(task.issuer)
      .setAudience(task.audience)
      .setSubject("mallory")
      .setIssuedAt()
      .setExpirationTime("1h")
      .sign(await key);
  withHands(16, async () => {
    await pace.take(1);
    await fire({ path: "/servers/demo/mcp", body: BODY, headers: { authorization: `Bearer ${await token()}` } });
  });
});
