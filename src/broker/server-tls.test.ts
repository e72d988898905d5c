import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startTestBroker, type TestBroker } from "../../test/fakes/broker.ts";
import { claimsOf, wristband } from "../../test/fakes/wristband.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-broker-"));
let broker: TestBroker;

const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
const EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const read = (file: string) => readFileSync(join(folder, file));

function certificate(name: string, san: string): void {
  writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${san}`);
  openssl("req", ...EC, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
  const ca = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1"];
  openssl("x509", "-req", "-in", `${name}.csr`, ...ca, "-out", `${name}.pem`, "-extfile", `${name}.ext`);
}

beforeAll(async () => {
  openssl("req", "-x509", ...EC, "-keyout", "ca.key", "-out", "ca.pem", "-days", "1", "-subj", "/CN=ca");
  certificate("broker", "IP:127.0.0.1");
  certificate("envoy", "DNS:envoy.example.com");
  certificate("mesh", "URI:spiffe://mesh/envoy");
  certificate("other", "DNS:other.example.com");
  const pair = { key: read("broker.key"), cert: read("broker.pem"), clientCa: read("ca.pem") };
  const clientSans = ["envoy.example.com", "spiffe://mesh/envoy"];
  broker = await startTestBroker({}, { tls: { ...pair, clientSans } });
});
afterAll(async () => {
  await broker.close();
  rmSync(folder, { recursive: true, force: true });
});

function ping(client: string): Promise<number> {
  const pair = { key: read(`${client}.key`), cert: read(`${client}.pem`), ca: read("ca.pem") };
  const headers = { "content-type": "application/json", "x-authorized-tools": wristband(claimsOf({ use: "list" })) };
  const target = { host: "127.0.0.1", port: broker.port, path: "/mcp", method: "POST", agent: false as const };
  return new Promise((done, fail) => {
    request({ ...target, ...pair, headers }, (answer) => {
      answer.resume();
      done(answer.statusCode ?? 0);
    })
      .on("error", fail)
      .end(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" }));
  });
}

it.each([
  ["envoy", 200],
  ["mesh", 200],
  ["other", 403],
])("B55: the certificate of %s, which its CA signed: %i", async (client, status) => {
  expect(await ping(client)).toBe(status);
});
