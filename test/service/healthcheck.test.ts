// The probe of the container images, as an orchestrator runs it.
import { execFile } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

const MAIN = resolve(import.meta.dirname, "../../src/cli/mcp-authz.ts");
let server: Server;
let origin: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? "";
    if (path === "/late") return;
    if (path === "/moved") response.writeHead(302, { location: "/200" }).end();
    else response.writeHead(Number(path.slice(1))).end("text");
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function run(...args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((done) => {
    execFile(process.execPath, [MAIN, "healthcheck", ...args], (error, stdout, stderr) =>
      done({ code: error === null ? 0 : Number(error.code), output: stdout + stderr }),
    );
  });
}

it.each([
  ["/200", 0, ""],
  ["/503", 1, "answered 503"],
  ["/404", 1, "answered 404"],
  ["/204", 1, "answered 204"],
  ["/moved", 1, "answered 302"],
  ["/late", 1, "did not answer within 2 s"],
])("%s gives %d", async (path, code, message) => {
  const result = await run("--url", origin + path);
  expect(result.code).toBe(code);
  expect(result.output.trim()).toBe(message === "" ? "" : `${origin}${path} ${message}`);
});

it("nobody there is unhealthy", async () => {
  expect(await run("--url", "http://127.0.0.1:2/readyz")).toEqual({
    code: 1,
    output: "http://127.0.0.1:2/readyz cannot be reached (ECONNREFUSED)\n",
  });
});

it("what is no http URL is the user's fault", async () => {
  expect((await run("--url", "file:///etc/passwd")).code).toBe(2);
});
