// What Envoy sends to the broker for an allowed call, captured: the broker takes it for that call alone.
import { request } from "node:http";
import { connect, createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { legacy } from "../e2e/client.ts";
import { freePort } from "../../demo/ports.ts";
import { openAttackLab, type AttackLab } from "./lab.ts";

let lab: AttackLab;
let tap: Server;
let captured = "";

/** Between Envoy and the broker: it passes everything on, and keeps what came from Envoy. */
async function startTap(broker: () => number): Promise<number> {
  const port = await freePort();
  tap = createServer((socket) => {
    const onward = connect({ host: "127.0.0.1", port: broker() });
    socket.on("data", (data) => (captured += data.toString("latin1")));
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      from.pipe(to);
      from.on("error", () => to.destroy());
    }
  });
  await new Promise<void>((done) => {
    tap.listen(port, "127.0.0.1", done);
  });
  return port;
}

beforeAll(async () => {
  let broker = 0;
  const port = await startTap(() => broker);
  lab = await openAttackLab({
    config: (config) => {
      broker = Number(/:(\d+)$/.exec(String((config["listen"] as { broker: string }).broker))?.[1]);
      Object.assign(config["envoy"] as object, { brokerAddress: `127.0.0.1:${port}` });
    },
  });
});
afterAll(async () => {
  await lab.stop();
  tap.close();
});

interface CapturedCall {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The captured call: its request line, headers and body. */
function lastCall(): CapturedCall {
  const all = captured.slice(captured.lastIndexOf("POST /"));
  const [head = "", body = ""] = all.split("\r\n\r\n");
  const [line = "", ...lines] = head.split("\r\n");
  const headers = Object.fromEntries(lines.map((each) => each.split(/:\s*/, 2) as [string, string]));
  return { path: line.split(" ")[1] ?? "", headers, body };
}

function replay({ path, headers, body }: CapturedCall): Promise<string> {
  const { "content-length": _length, "transfer-encoding": _coding, ...rest } = headers;
  return new Promise((done, fail) => {
    const sent = request(
      { host: "127.0.0.1", port: lab.ports.broker, method: "POST", path, headers: rest },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => (text += part));
        response.on("end", () => done(`${response.statusCode} ${/"reason":"(\w+)"/.exec(text)?.[1] ?? text}`));
      },
    );
    sent.on("error", fail);
    sent.end(body);
  });
}

it("with other arguments it is refused, and nothing reaches the server [F18]", async () => {
  const token = await lab.idp.mint("alice");
  const call = { name: "transfer", arguments: { to: "carol", amount: 10 } };
  expect((await legacy(lab.gateway, "tools/call", call, { token })).text).toContain("sent 10 to carol");
  const original = lastCall();
  expect(original.body).toContain('"amount":10');
  expect(await replay(original)).toContain("sent 10 to carol");
  const before = lab.demo.arrivals.length;
  for (const body of [
    original.body.replace('"amount":10', '"amount":99'),
    original.body.replace('"amount":10', '"amount":5000'),
    original.body.replace("carol", "mallory"),
    original.body.replace('"id":1', '"id":2'),
    original.body.replace('"arguments":', '"_meta":{},"arguments":'),
    `${original.body} `,
  ]) {
    expect(body).not.toBe(original.body);
    expect(await replay({ ...original, body })).toMatch(/^\d{3} wristband_invalid$/);
  }
  expect(lab.demo.arrivals).toHaveLength(before);
});
