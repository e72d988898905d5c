import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { makeCa, makeLeaf } from "../../test/fakes/certificates.ts";
import { tlsParts } from "./tls-listeners.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-tls-parts-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("two workers that have read two client CAs beside one certificate have read something else", async () => {
  const [before, after] = [makeCa(folder, "before"), makeCa(folder, "after")];
  const { certFile, keyFile } = makeLeaf(folder, { name: "leaf", san: "DNS:a", ca: before });
  const clientCaFile = join(folder, "client-ca.pem");
  const config = { tls: { authz: { certFile, keyFile, clientCaFile, clientSans: ["DNS:a"] } } };
  const contentOf = async (ca: Buffer) => {
    writeFileSync(clientCaFile, ca);
    return (await tlsParts(config, { authz: () => {} })["tls.authz"]?.())?.content;
  };
  const first = await contentOf(before.cert);
  expect(await contentOf(after.cert)).not.toBe(first);
  expect(await contentOf(before.cert)).toBe(first);
});
