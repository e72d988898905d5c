// The token's form, header and claims: words for what is wrong, never a throw, and one spelling for each token.
import { readToken } from "../../../src/jose/compact.ts";
import { checkClaims } from "../../../src/identity/claims.ts";
import { checkHeader } from "../../../src/identity/token-header.ts";
import { must, type Target } from "./target.ts";

const NOW = 1_750_000_000;
const RULES = { claims: { username: "/a/b", groups: "groups", scopes: "scope" }, tokenType: "jwt" } as const;
const ALGORITHMS = ["RS256", "ES256"];
const part = (text: string | Buffer) => Buffer.from(text).toString("base64url");

export const token: Target = {
  seeds: [
    '{"alg":"RS256","kid":"k","typ":"at+jwt"}\n{"iss":"i","sub":"s","aud":["a"],"exp":1750000100,"iat":1750000000}',
    '{"alg":"ES256"}\n{"sub":"s","aud":"a","exp":1750000100,"nbf":1,"scope":"a b","groups":["g"],"a":{"b":"u"},"act":{"sub":"x"}}',
    `!${part("{}")}.${part("{}")}.${part("x")}`,
  ],
  tokens: [
    ...[
      "{",
      "}",
      "[",
      "]",
      '"',
      ",",
      ":",
      "\n",
      ".",
      "=",
      "-",
      "_",
      '"alg"',
      '"typ":"jwt"',
      '"kid"',
      '"crit"',
      '"b64"',
      '"exp"',
    ],
    ...[
      '"iat"',
      '"nbf"',
      '"act":{"sub":"a"}',
      '"may_act"',
      '"cnf"',
      '"__proto__"',
      '"groups"',
      '"scp"',
      '"nonce"',
      "1750000000",
    ],
  ],
  run(bytes) {
    const text = textOf(bytes);
    const read = readToken(text);
    if (typeof read === "string") {
      must(read.length < 200, "a long fault");
      return;
    }
    const [header = "", payload = ""] = text.split(".");
    for (const spelled of [header, payload])
      must(Buffer.from(spelled, "base64url").toString("base64url") === spelled, "a part has another spelling");
    for (const tokenType of ["jwt", "at+jwt"] as const) {
      checkHeader(read.header, ALGORITHMS, tokenType);
      const claims = checkClaims(read.payload, { ...RULES, tokenType }, NOW);
      if (typeof claims !== "string") must(claims.expiresAt <= NOW + 24 * 3600 + 3600, "it lives too long");
    }
  },
};

/** The token as it stands, behind "!", or made of lines: header, payload, signature. */
function textOf(bytes: Buffer): string {
  if (bytes[0] === 0x21) return bytes.toString("latin1", 1);
  const text = bytes.toString("latin1");
  const [header = "", payload = "", signature = "sig"] = text.split("\n");
  return [header, payload, signature].map((line) => part(Buffer.from(line, "latin1"))).join(".");
}
