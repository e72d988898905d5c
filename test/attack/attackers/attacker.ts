// What every attacker has in common: it runs for its seconds at low priority, from its own address, and counts what it did.
import { Agent, request } from "node:http";
import { connect, type ClientHttp2Session } from "node:http2";
import { connect as connectTcp } from "node:net";
import { setPriority } from "node:os";
import { setTimeout as delay } from "node:timers/promises";

export interface AttackTask {
  readonly gateway: string;
  readonly seconds: number;
  /** The local address that it comes from. */
  readonly source: string;
  /** Access tokens that it has, by any name. */
  readonly token?: string;
}

/** What it did and what it met, by name: `sent`, `200`, `429 rate_limited` … */
export class Counts {
  readonly #counts: Record<string, number> = {};

  add(name: string, by = 1): void {
    this.#counts[name] = (this.#counts[name] ?? 0) + by;
  }

  toJSON(): Readonly<Record<string, number>> {
    return this.#counts;
  }
}

/** The machine of an attacker is not the gateway's: where the two share cores, the gateway goes first. */
const NICE = 10;

/** Runs one attack. `attack` starts it; what is still open ends with the process. */
export function runAttacker(attack: (task: never, counts: Counts) => void): void {
  process.once("message", (task: AttackTask) => {
    setPriority(NICE);
    const counts = new Counts();
    process.on("uncaughtException", (error) => counts.add(`error ${error.message.slice(0, 60)}`));
    attack(task as never, counts);
    void delay(task.seconds * 1000).then(() => {
      process.send?.(counts.toJSON(), () => process.exit());
    });
  });
}

/** An HTTP/2 connection from the attacker's address. */
export function openSession({ gateway, source }: AttackTask, options: object = {}): ClientHttp2Session {
  const { hostname, port } = new URL(gateway);
  const createConnection = () => connectTcp({ host: hostname, port: Number(port), localAddress: source });
  return connect(gateway, { createConnection, ...options });
}

/** Tokens of a bucket, for an attacker whose link has a width. */
export class Bucket {
  #level = 0;
  #at = performance.now();
  readonly #perSecond: number;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Resolves when so much may be spent. */
  async take(amount: number): Promise<void> {
    for (;;) {
      const now = performance.now();
      this.#level = Math.min(this.#perSecond, this.#level + ((now - this.#at) / 1000) * this.#perSecond);
      this.#at = now;
      if (this.#level >= Math.min(amount, this.#perSecond)) {
        this.#level -= amount;
        return;
      }
      await delay(5);
    }
  }
}

export interface Shot {
  readonly path: string;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A client with so many connections that are kept. What comes back is counted by status and reason. */
export function createGun(task: AttackTask, connections: number, counts: Counts) {
  const { hostname, port } = new URL(task.gateway);
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  return ({ path, body, headers }: Shot): Promise<void> =>
    new Promise((done) => {
      const usual = { "content-type": "application/json", accept: "application/json, text/event-stream" };
      const auth = task.token === undefined ? {} : { authorization: `Bearer ${task.token}` };
      const place = { host: hostname, port: Number(port), localAddress: task.source, path, agent };
      const sent = request({ ...place, method: "POST", headers: { ...usual, ...auth, ...headers } }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => (text.length < 4096 ? (text += part) : null));
        response.on("close", () => {
          const reason = /"reason":"(\w+)"/.exec(text)?.[1] ?? "";
          counts.add(`${response.statusCode} ${reason}`.trim());
          done();
        });
      });
      sent.setTimeout(30_000, () => sent.destroy());
      sent.on("error", (error: NodeJS.ErrnoException) => {
        counts.add(error.code ?? "error");
        setTimeout(done, 100);
      });
      counts.add("sent");
      sent.end(body);
    });
}

/** Does the same with so many hands at a time, for ever. */
export function withHands(hands: number, shot: () => Promise<void>): void {
  for (let i = 0; i < hands; i += 1)
    void (async () => {
      for (;;) await shot();
    })();
}
