import { Agent, get, type IncomingMessage, type RequestListener } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { createTlsOrPlainServer, type HttpServer } from "./server.ts";

let server: HttpServer;
afterEach(() => server.close(0));

async function start(listener: RequestListener): Promise<number> {
  server = createTlsOrPlainServer({}, null, listener);
  return server.listen("listen.ops", { kind: "tcp", host: "127.0.0.1", port: 0 });
}

/** The text of the response, or why there is none. */
function ask(port: number): Promise<string> {
  return new Promise((done) => {
    const request = get({ port, host: "127.0.0.1" }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () => done(text));
      response.on("error", () => done("cut off"));
    });
    request.on("error", () => done("refused"));
  });
}

describe("leave", () => {
  it("serves on, and each response ends its connection, that of a request before it too", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 2 });
    const releases: (() => void)[] = [];
    const port = await start((_, response) => void releases.push(() => response.end("whole")));
    const heads: string[] = [];
    const send = () =>
      new Promise<void>((done) => {
        const onResponse = (response: IncomingMessage) => {
          heads.push(response.headers.connection ?? "");
          response.resume().on("end", done);
        };
        get({ port, host: "127.0.0.1", agent }, onResponse);
      });
    const answered = async () => {
      await expect.poll(() => releases.length).toBe(1);
      releases.shift()?.();
    };
    await Promise.all([send(), answered()]);
    const before = send();
    await expect.poll(() => releases.length).toBe(1);
    server.leave();
    await Promise.all([before, answered()]);
    await Promise.all([send(), answered()]);
    expect(heads).toEqual(["keep-alive", "close", "close"]);
    agent.destroy();
  });
});

describe("close", () => {
  it("lets a request under way end within the grace, and takes no other", async () => {
    let release: () => void = () => {};
    const begun = Promise.withResolvers<void>();
    const port = await start((_, response) => {
      release = () => response.end("whole");
      begun.resolve();
    });
    const first = ask(port);
    await begun.promise;
    const closed = server.close(60_000, () => expect.unreachable("the grace is not over"));
    expect(await ask(port)).toBe("refused");
    release();
    expect(await first).toBe("whole");
    await closed;
  });

  it("tells when the grace is over, so that a last word can be said, and ends what says none", async () => {
    const late: (() => void)[] = [];
    const begun = Promise.withResolvers<void>();
    let asked = 0;
    const port = await start((_, response) => {
      asked += 1;
      if (asked === 1) late.push(() => response.end("last word"));
      if (asked === 2) begun.resolve();
    });
    const both = [ask(port), ask(port)];
    await begun.promise;
    await server.close(1, () => late.forEach((say) => say()));
    expect((await Promise.all(both)).sort()).toEqual(["last word", "refused"]);
  });
});
