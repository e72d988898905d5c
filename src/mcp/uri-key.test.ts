import { describe, expect, it } from "vitest";
import { createCuration, UNCURATED } from "./curation.ts";

const offered = (deny: string[], uri: string) =>
  createCuration({
    servers: { s: { ...UNCURATED, resources: { allow: ["*"], deny } } },
    virtualServers: {},
  }).offers("resource", { server: "s", name: uri }, null);

describe("a deny of resources holds for each spelling that a server may take for the same", () => {
  it.each([
    ["db://x/secret", "db://x/secret#a"],
    ["db://x/secret", "DB://X/secret"],
    ["db://x/secret", "db://x:80/secret"],
    ["db://x/secret", "db://x./secret"],
    ["db://x/secret", "db://x/secret?"],
    ["db://x/secret", "db://x/secret?as=text"],
    ["db://x/secret", "db://x/secret/"],
    ["db://x/secret", "db://x//secret"],
    ["db://x/secret", "db://x/./secret"],
    ["db://x/secret", "db://x/a/../secret"],
    ["db://x/secret", "db://x/%73ecret"],
    ["db://x/secret", "db://x/%2573ecret"],
    ["db://x/secret", "db://x/a%2f..%2fsecret"],
    ["db://x/secret", "db://x/ſecret"],
    ["db://x/secret", String.raw`db://x\\secret`],
    ["db://x/%73ecret", "db://x/secret"],
    ["DB://X/secret", "db://x/secret"],
    ["db://x/secret/*", "db://x/secret"],
    ["db://x/secret/*", "db://x//secret/./a"],
    ["db://x/*/keys", "db://x/a/b/keys/"],
    ["repo://*/secrets/*", "REPO://a/b/./secrets/c"],
    ["file:///etc/*", "file:/etc/passwd"],
    ["file:///etc/*", "file://localhost/etc/passwd"],
    ["file:/etc/*", "file:///etc/passwd"],
    ["file:///etc/*", "file:///tmp/?/../../etc/passwd"],
    ["mail:Inbox", "MAIL:Inbox"],
    ["db://x/caf\u00e9", "db://x/cafe\u0301"],
    ["db://x/%ff", "db://x/%FF"],
  ])("%s denies %s", (pattern, uri) => expect(offered([pattern], uri)).toBe(false));
  it.each([
    ["db://x/secret", "db://x/secrets"],
    ["db://x/secret", "db://y/secret"],
    ["db://x/secret", "db://x/Secret"],
    ["db://x/secret", "db://x/secret/a"],
    ["db://x/secret/*", "db://x/secretary"],
    ["file:///etc/*", "file:///home/etc"],
    ["db://x/a?b=1", "db://x/a?b=2"],
    ["mail:inbox", "note:inbox"],
  ])("%s leaves %s", (pattern, uri) => expect(offered([pattern], uri)).toBe(true));
});

it("no text stops it: escapes that are no UTF-8, and escapes of escapes", () => {
  const deep = `db://x/%${"25".repeat(3000)}73ecret`;
  for (const uri of ["%", "%%%", "%ff%fe", "//", ":", "", "#?", "\u{d800}", deep])
    expect(offered(["db://x/secret"], uri)).toBe(true);
  expect(offered(["db://x/secret"], "db://x/%25252573ecret")).toBe(false);
});
