// What Envoy may rely on, whichever wire stack serves: TCP, socket, mTLS, garbage, deadlines, health, drain.
import { execFileSync, spawnSync } from "node:child_process";
import { constants, type IncomingHttpHeaders } from "node:http2";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { credentials, status } from "@grpc/grpc-js";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { createCheck } from "../../src/authz/check.ts";
import type { WireStackName } from "../../src/envoy/wire-stack.ts";
import { allowingPorts, checkSettings } from "../fakes/authz.ts";
import { checkMessage } from "../fakes/check-request.ts";
import { BODY, call, CHECK, framed, GOOD, request, response, send, verdictOf, wireWorld } from "./wire-stack-world.ts";

/** The client's first words (RFC 9113 §3.4): the preface, and SETTINGS of nothing. */
const PREFACE = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);
const LEAVES_A_SOCKET = `require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;

const KEY = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const asIs = (bytes: Buffer) => bytes;

export function wireStackContract(name: WireStackName): void {
  describe(name, () => {
    const { folder, records, start, client, connected } = wireWorld(name);

    function selfSigned() {
      const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a"];
      execFileSync("openssl", [...args, "-keyout", "self.key", "-out", "self.pem"], { cwd: folder, stdio: "ignore" });
      return { key: readFileSync(join(folder, "self.key")), cert: readFileSync(join(folder, "self.pem")) };
    }

    describe("transports", () => {
      it("TCP: allowed, and refused without a token", async () => {
        const { port } = await start();
        expect(await call(client(`127.0.0.1:${port}`), GOOD)).toEqual({ grpc: 0, code: 0, http: "" });
        expect(await call(client(`127.0.0.1:${port}`), request.encode(checkMessage({ body: BODY })))).toEqual({
          grpc: 0,
          code: 16,
          http: "Unauthorized",
        });
      });

      it("a Unix socket, over one that a dead process left; other files are not touched", async () => {
        const path = join(folder, "authz.sock");
        const dead = spawnSync(process.execPath, ["-e", LEAVES_A_SOCKET, path]);
        expect([dead.signal, existsSync(path)]).toEqual(["SIGKILL", true]);
        await start({ address: { kind: "unix", path } });
        expect((await call(client(`unix:${path}`), GOOD)).code).toBe(0);
        await expect(start({ address: { kind: "unix", path } })).rejects.toThrow(
          `listen.authz: cannot listen on ${path}: another program listens there`,
        );
        expect((await call(client(`unix:${path}`), GOOD)).code).toBe(0);
        const file = join(folder, "not-a-socket");
        writeFileSync(file, "keep me");
        await expect(start({ address: { kind: "unix", path: file } })).rejects.toThrow(/listen\.authz/);
        expect(readFileSync(file, "utf8")).toBe("keep me");
      });

      it("a taken port is said by its key", async () => {
        const { port } = await start();
        await expect(start({ address: { kind: "tcp", host: "127.0.0.1", port } })).rejects.toThrow(
          /listen\.authz: cannot listen on 127\.0\.0\.1/,
        );
      });
    });

    describe("mTLS", () => {
      const pem = (name: string) => readFileSync(join(folder, `${name}.pem`));
      const openssl = (...args: string[]) =>
        execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "ignore"] });

      beforeAll(() => {
        openssl(...KEY, "-x509", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2");
        for (const [name, san] of [
          ["server", "DNS:mcp-authz"],
          ["envoy", "DNS:envoy.mesh"],
          ["stranger", "DNS:stranger.mesh"],
        ] as const) {
          writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${san}`);
          openssl(...KEY, "-nodes", "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
          const signs = [
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            `${name}.ext`,
          ];
          openssl("x509", "-req", "-in", `${name}.csr`, "-out", `${name}.pem`, ...signs);
        }
      });

      it("takes the named client, refuses a stranger of the same CA, and speaks to nobody without a certificate", async () => {
        const tls = {
          key: readFileSync(join(folder, "server.key")),
          cert: pem("server"),
          clientCa: pem("ca"),
          clientSans: ["envoy.mesh"],
        };
        const { port } = await start({ tls });
        const as = (name: string | null) => {
          const creds =
            name === null
              ? credentials.createSsl(pem("ca"))
              : credentials.createSsl(pem("ca"), readFileSync(join(folder, `${name}.key`)), pem(name));
          return call(client(`127.0.0.1:${port}`, creds, { "grpc.ssl_target_name_override": "mcp-authz" }), GOOD);
        };
        expect(await as("envoy")).toEqual({ grpc: 0, code: 0, http: "" });
        expect(await as("stranger")).toEqual({ grpc: 0, code: 14, http: "InternalServerError" });
        expect((await as(null)).grpc).toBe(status.UNAVAILABLE);
      });

      it("a new certificate is for connections from then on", async () => {
        const material = () => ({ clientCa: null, clientSans: [], ...selfSigned() });
        const { server, port } = await start({ tls: material() });
        const seen = async () => {
          const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] });
          await once(socket, "secureConnect");
          const { fingerprint256 } = socket.getPeerCertificate();
          const { alpnProtocol } = socket;
          socket.destroy();
          return [alpnProtocol, fingerprint256];
        };
        const before = await seen();
        server.setTls(material());
        const after = await seen();
        expect([before[0], after[0]]).toEqual(["h2", "h2"]);
        expect(after[1]).not.toBe(before[1]);
      });
    });

    describe("M2, D02, D03: never a gRPC error for a Check", () => {
      it.each<[string, Buffer, string]>([
        ["garbage", Buffer.from("garbage"), "BadRequest"],
        ["nothing", Buffer.alloc(0), "BadRequest"],
        ["a string that is not UTF-8", Buffer.from([0x0a, 0x06, 0x22, 0x04, 0x12, 0x02, 0x22, 0xff]), "BadRequest"],
        [
          "5 MiB",
          request.encode(
            checkMessage({ body: Buffer.alloc(5 * 1024 * 1024, 0x5b), headers: { authorization: "Bearer token" } }),
          ),
          "PayloadTooLarge",
        ],
      ])("%s", async (_, bytes, http) => {
        const { port } = await start();
        expect(await call(client(`127.0.0.1:${port}`), bytes)).toMatchObject({ grpc: 0, http });
        expect(records).toHaveLength(1);
      });

      it("D14, M4: answers before the caller's patience ends", async () => {
        const { port } = await start({ checkTimeoutMs: 10_000 }, () => new Promise(() => {}));
        expect(await call(client(`127.0.0.1:${port}`), GOOD, { timeoutMs: 2000 })).toMatchObject({
          grpc: 0,
          http: "ServiceUnavailable",
        });
        expect(records).toMatchObject([{ reason: "deadline" }]);
      });

      it("D13: other methods are not there", async () => {
        const { port } = await start();
        for (const method of [
          "/envoy.service.auth.v2.Authorization/Check",
          "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        ]) {
          expect((await call(client(`127.0.0.1:${port}`), GOOD, { method })).grpc).toBe(status.UNIMPLEMENTED);
        }
      });

      it("methods of another service are served beside Check, under the same limits; what cannot be read has a result", async () => {
        const lengths: number[] = [];
        const handler = (bytes: Buffer) => (
          lengths.push(bytes.length),
          Promise.resolve(Buffer.from([bytes.length > 0 ? 1 : 2]))
        );
        const refusal = () => Buffer.from([3]);
        const further = new Map(["/x.Y/A", "/x.Y/B"].map((path) => [path, { handler, refusal }]));
        const { session, port } = await connected({ further });
        const answerOf = async (parts: Buffer[], path = "/x.Y/A") => {
          const { body, grpc } = await send(session, parts, { ":path": path }).seen;
          return [grpc, body.at(-1)];
        };
        expect(await answerOf([framed(Buffer.from("abc"))])).toEqual(["0", 1]);
        expect(await answerOf([framed(Buffer.from("abc"))], "/x.Y/B")).toEqual(["0", 1]);
        expect(await answerOf([])).toEqual(["0", 2]);
        expect(await answerOf([framed(Buffer.from("abc")), framed(Buffer.from("abc"))])).toEqual(["0", 2]);
        expect((await call(client(`127.0.0.1:${port}`), GOOD, { method: "/x.Y/C" })).grpc).toBe(status.UNIMPLEMENTED);
        expect((await call(client(`127.0.0.1:${port}`), GOOD)).code).toBe(0);
        expect(lengths).toEqual([3, 3, 0, 0]);
      });

      it("D05, D16: clients that give up harm nobody else, and each Check has its record", async () => {
        const { port } = await start({}, async (...args) => {
          await new Promise((done) => setTimeout(done, 20));
          return createCheck(checkSettings(), allowingPorts())(...args);
        });
        const patient = client(`127.0.0.1:${port}`);
        const quitters = Array.from({ length: 200 }, () => {
          const pending = patient.makeUnaryRequest(CHECK, asIs, asIs, GOOD, () => {});
          setTimeout(() => pending.cancel(), 5);
        });
        const stayers = await Promise.all(Array.from({ length: 50 }, () => call(patient, GOOD)));
        expect(quitters).toHaveLength(200);
        expect(stayers.every(({ grpc, code }) => grpc === 0 && code === 0)).toBe(true);
      });
    });

    describe("the wire below: HTTP/2 by hand", () => {
      it("a message in pieces is one message", async () => {
        const { session } = await connected();
        const seen = await send(
          session,
          [...framed(GOOD)].map((byte) => Buffer.from([byte])),
        ).seen;
        expect(seen).toMatchObject({ status: 200, grpc: "0" });
        expect(verdictOf(seen)).toBe("");
      });

      it.each<[string, Buffer]>([
        ["nothing", Buffer.alloc(0)],
        ["half a prefix", Buffer.from([0, 0, 0])],
        ["a prefix alone, for a message that does not come", Buffer.from([0, 0, 0, 0, 9])],
        ["less than its prefix says", framed(GOOD).subarray(0, 50)],
        ["two messages", Buffer.concat([framed(GOOD), framed(GOOD)])],
      ])("D02: %s is refused, with a record, and never by a gRPC error", async (_, bytes) => {
        const { session } = await connected();
        const seen = await send(session, [bytes]).seen;
        expect(seen).toMatchObject({ status: 200, grpc: "0" });
        expect(verdictOf(seen)).toBe("BadRequest");
        expect(records).toMatchObject([{ decision: "deny", reason: "header_malformed" }]);
      });

      it.each<[string, Buffer[]]>([
        ["nothing of it comes", []],
        ["a piece of it comes", [framed(GOOD).subarray(0, 50)]],
      ])("M4, D08: a message that is not here in time is refused in time: %s", async (_, parts) => {
        const { session } = await connected({ checkTimeoutMs: 60_000 });
        const stream = session.request({
          ...{ ":method": "POST", ":path": CHECK, "content-type": "application/grpc", "grpc-timeout": "2000m" },
        });
        for (const part of parts) stream.write(part);
        const started = performance.now();
        const body = await new Promise<Buffer>((done) => stream.once("data", done));
        expect(performance.now() - started).toBeLessThan(2000);
        expect(response.decode(body.subarray(5))).toHaveProperty("denied_response");
        expect(records).toHaveLength(1);
        expect(records[0]?.decision).not.toBe("allow");
      });

      it.each(["1S", "1000m", "1000000u", "99999999n", "1M", "1H"])("a patience of %s is enough", async (timeout) => {
        const { session } = await connected();
        expect(verdictOf(await send(session, [framed(GOOD)], { "grpc-timeout": timeout }).seen)).toBe("");
      });

      it("who does not speak gRPC is told so by HTTP, and decides nothing", async () => {
        const { session } = await connected();
        const { seen: typed } = send(session, [framed(GOOD)], { "content-type": "application/json" });
        expect(await typed).toMatchObject({ status: 415, grpc: undefined });
        expect(records).toEqual([]);
      });

      it("D16: a call that ends before its message is no Check", async () => {
        const { session } = await connected();
        const { stream, seen } = send(session, []);
        stream.close(constants.NGHTTP2_CANCEL);
        await seen;
        const open = session.request({ ":method": "POST", ":path": CHECK, "content-type": "application/grpc" });
        open.write(framed(GOOD).subarray(0, 20));
        await new Promise((done) => setTimeout(done, 50));
        open.close(constants.NGHTTP2_CANCEL);
        expect(verdictOf(await send(session, [framed(GOOD)]).seen)).toBe("");
        expect(records.filter(({ decision }) => decision === "allow")).toHaveLength(1);
      });

      it("D14: the Check of a client that goes is given up", async () => {
        let signalled = false;
        const { session } = await connected({ checkTimeoutMs: 60_000 }, (_request, _facts, signal) => {
          signal.addEventListener("abort", () => (signalled = true));
          return new Promise(() => {});
        });
        const { stream, seen } = send(session, [framed(GOOD)]);
        await vi.waitFor(() => expect(stream.sentHeaders).toBeDefined());
        await new Promise((done) => setTimeout(done, 50));
        stream.close(constants.NGHTTP2_CANCEL);
        await seen;
        await vi.waitFor(() => expect(signalled).toBe(true));
        expect(records).toMatchObject([{ reason: "deadline" }]);
      });

      it("health: whoever watches sees each change", async () => {
        const { server, session } = await connected();
        const stream = session.request({
          ":method": "POST",
          ":path": "/grpc.health.v1.Health/Watch",
          "content-type": "application/grpc",
        });
        const states: number[] = [];
        stream.on("data", (part: Buffer) => states.push(part.at(-1) ?? 0));
        stream.end(framed(Buffer.alloc(0)));
        await vi.waitFor(() => expect(states).toEqual([1]));
        server.setServing(false);
        await vi.waitFor(() => expect(states).toEqual([1, 2]), 3000);
        stream.close();
      });

      it("health: a watch ends with a drain, which does not wait for it", async () => {
        const { server, session } = await connected();
        const stream = session.request({
          ":method": "POST",
          ":path": "/grpc.health.v1.Health/Watch",
          "content-type": "application/grpc",
        });
        const seen: (number | string)[] = [];
        stream.on("data", (part: Buffer) => seen.push(part.at(-1) ?? 0));
        stream.on("trailers", (trailers: IncomingHttpHeaders) =>
          seen.push(`status ${String(trailers["grpc-status"])}`),
        );
        stream.end(framed(Buffer.alloc(0)));
        await vi.waitFor(() => expect(seen).toEqual([1]));
        const late = new Promise((done) => setTimeout(done, 20_000, "late"));
        expect(await Promise.race([server.drain(60_000).then(() => "drained"), late])).toBe("drained");
        expect(seen).toEqual([1, 2, "status 0"]);
      }, 30_000);

      it.each<[string, boolean, (socket: Socket) => void]>([
        ["says nothing", false, () => {}],
        ["speaks HTTP/2 and does not leave", false, (socket) => socket.write(PREFACE)],
        ["does not begin its handshake", true, () => {}],
      ])("D06: a peer who %s does not hold up the end", async (_, isSecure, speak) => {
        const material = { clientCa: null, clientSans: [], ...selfSigned() };
        const { server, port } = await start(isSecure ? { tls: material } : {});
        const socket = connectTcp({ port, host: "127.0.0.1", allowHalfOpen: true });
        await new Promise((done) => socket.once("connect", done));
        speak(socket);
        await new Promise((done) => setTimeout(done, 50));
        const closed = new Promise((done) => socket.once("close", done));
        socket.on("error", () => {});
        socket.resume();
        await server.drain(150);
        socket.end();
        await closed;
      });

      it("what ends is ended: a call that hangs does not keep the process beyond the grace", async () => {
        const { server, session } = await connected({ checkTimeoutMs: 60_000 }, () => new Promise(() => {}));
        const { seen } = send(session, [framed(GOOD)]);
        const ended = seen.catch(() => "broken off");
        await new Promise((done) => setTimeout(done, 50));
        await server.drain(100);
        expect(records, "who drains closes the audit log next").toMatchObject([{ reason: "deadline" }]);
        expect(await ended).not.toMatchObject({ grpc: "0" });
      });
    });

    describe("health and drain", () => {
      const health = async (port: number, service: string) => {
        const asking = client(`127.0.0.1:${port}`);
        const name = Buffer.from(service);
        return new Promise<number | string>((done) => {
          const ask = Buffer.concat([Buffer.from([0x0a, name.length]), name]);
          asking.makeUnaryRequest("/grpc.health.v1.Health/Check", asIs, asIs, ask, (error, answer) =>
            done(error ? `error ${error.code}` : (answer?.[1] ?? -1)),
          );
        });
      };

      it("serves, does not know others, and says when it stops", async () => {
        const { server, port } = await start();
        expect([
          await health(port, ""),
          await health(port, "envoy.service.auth.v3.Authorization"),
          await health(port, "x"),
        ]).toEqual([1, 1, `error ${status.NOT_FOUND}`]);
        server.setServing(false);
        expect(await health(port, "")).toBe(2);
      });

      it("N04: a Check under way gets its answer, a new one finds nobody", async () => {
        const { server, port } = await start({}, async (...args) => {
          await new Promise((done) => setTimeout(done, 150));
          return createCheck(checkSettings(), allowingPorts())(...args);
        });
        const open = call(client(`127.0.0.1:${port}`), GOOD);
        await new Promise((done) => setTimeout(done, 50));
        const drained = server.drain(2000);
        expect(await open).toEqual({ grpc: 0, code: 0, http: "" });
        await drained;
        expect((await call(client(`127.0.0.1:${port}`), GOOD, { timeoutMs: 1000 })).grpc).not.toBe(0);
      });
    });
  });
}
