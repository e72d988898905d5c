import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { makeCa, makeLeaf } from "../../test/fakes/certificates.ts";
import { readTlsFiles, type TlsFiles } from "./tls.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-tls-files-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ca = makeCa(folder, "ca");
const good = makeLeaf(folder, { name: "good", san: "DNS:a", ca });
const other = makeLeaf(folder, { name: "other", san: "DNS:a", ca });
const old = makeLeaf(folder, { name: "old", san: "DNS:a", ca, days: -1 });
const empty = join(folder, "empty");
writeFileSync(empty, "");
const cut = join(folder, "cut");
writeFileSync(cut, good.cert.subarray(0, 200));

const files: TlsFiles = {
  certFile: good.certFile,
  keyFile: good.keyFile,
  clientCaFile: ca.certFile,
  clientSans: ["DNS:a"],
};
const now = Date.now();

it("gives what is in the files", () => {
  const { key, cert } = good;
  expect(readTlsFiles("tls.authz", files, now)).toEqual({ key, cert, clientCa: ca.cert, clientSans: ["DNS:a"] });
  expect(readTlsFiles("tls.authz", { ...files, clientCaFile: null }, now).clientCa).toBeNull();
});

it.each<[string, Partial<TlsFiles>, number, RegExp]>([
  ["no certificate", { certFile: join(folder, "none") }, now, /^tls\.ops\.certFile: .*none cannot be read: does it/],
  ["no key", { keyFile: join(folder, "none") }, now, /^tls\.ops\.keyFile: .*none cannot be read/],
  ["no CA", { clientCaFile: join(folder, "none") }, now, /^tls\.ops\.clientCaFile: .*none cannot be read/],
  ["an empty certificate", { certFile: empty }, now, /^tls\.ops\.certFile: .*empty holds no certificate/],
  ["half a certificate", { certFile: cut }, now, /^tls\.ops\.certFile: .*cut holds no certificate/],
  ["an empty key", { keyFile: empty }, now, /^tls\.ops\.keyFile: .*empty holds no private key/],
  ["an empty CA", { clientCaFile: empty }, now, /^tls\.ops\.clientCaFile: .*empty holds no certificate/],
  ["a certificate in place of the key", { keyFile: good.certFile }, now, /^tls\.ops\.keyFile: .* holds no private key/],
  ["another's key", { keyFile: other.keyFile }, now, /^tls\.ops\.keyFile: .*other\.key is not the key of .*good\.pem/],
  ["one that has expired", { certFile: old.certFile, keyFile: old.keyFile }, now, /^tls\.ops\.certFile: .*has expired/],
  ["one of the future", {}, now - 86_400_000, /^tls\.ops\.certFile: .*is not valid yet/],
])("refuses %s and names the key", (_, wrong, at, message) => {
  expect(() => readTlsFiles("tls.ops", { ...files, ...wrong }, at)).toThrow(message);
});
