// Requests that cost much to read, as fast as the attacker's link takes them: large bodies with a valid token, or tokens that
// nobody issued.
import { randomBytes } from "node:crypto";
import { Bucket, createGun, runAttacker, withHands, type AttackTask, type Shot } from "./attacker.ts";

export interface CostlyRequests extends AttackTask {
  readonly kind: "bodies" | "forged tokens" | "lists";
  /** Connections, each with one request at a time. */
  readonly connections: number;
  readonly bytesPerSecond: number;
  /** For bodies: their sizes, in turn. */
  readonly sizes?: readonly number[];
  /** For forged tokens: a real one, whose header and issuer are copied. */
  readonly model?: string;
  /** For lists: paths and methods, in turn. */
  readonly lists?: readonly (readonly [path: string, method: string])[];
}

runAttacker((task: CostlyRequests, counts) => {
  const link = new Bucket(task.bytesPerSecond);
  const fire = createGun(task, task.connections, counts);
  const next = SHOTS[task.kind](task);
  withHands(task.connections, async () => {
    const shot = next();
    await link.take(shot.body.length + 500 + (shot.headers?.["authorization"]?.length ?? 0));
    await fire(shot);
  });
});

const SHOTS: Readonly<Record<CostlyRequests["kind"], (task: CostlyRequests) => () => Shot>> = {
  bodies: costlyBodies,
  "forged tokens": forgedTokens,
  lists,
};

/** In turn: escapes, line breaks, names of combining marks, many members, deep levels. */
function costlyBodies({ sizes = [] }: CostlyRequests): () => Shot {
  const fill = (piece: string, bytes: number) => piece.repeat(Math.floor(bytes / Buffer.byteLength(piece)));
  const call = (args: string) =>
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":${args}}}`;
  const many = (bytes: number, name: (i: number) => string) => {
    const members: string[] = [];
    for (let length = 0, i = 0; length < bytes && i < 9000; i += 1) {
      const member = `${JSON.stringify(name(i))}:1`;
      members.push(member);
      length += Buffer.byteLength(member) + 1;
    }
    return `{${members.join(",")}}`;
  };
  const bodies = sizes.flatMap((size) => {
    const room = size - 200;
    return [
      call(`{"a":"${fill(String.raw`\u0041`, room)}"}`),
      call(`{"a":"${fill(String.raw`\n`, room)}"}`),
      call(many(room, (i) => `${i}${"\u0323\u0301".repeat(60)}`)),
      call(`{"a":[${fill("1,", Math.min(room, 19_000))}1]}`),
    ].map((text) => Buffer.from(text));
  });
  let turn = 0;
  const empty = Buffer.alloc(0);
  return () => ({ path: "/servers/demo/mcp", body: bodies[(turn += 1) % bodies.length] ?? empty });
}

/** As long as a token may be, with many claims, each with another signature and from an address that it made up. */
function forgedTokens({ model = "" }: CostlyRequests): () => Shot {
  const [header = "", payload = ""] = model.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown>;
  for (let i = 0; i < 700; i += 1) claims[`k${i}`] = i;
  const forged = `${header}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
  const body = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
  let turn = 0;
  return () => {
    turn += 1;
    return {
      path: "/servers/demo/mcp",
      body,
      headers: {
        authorization: `Bearer ${forged}.${randomBytes(64).toString("base64url")}`,
        "x-forwarded-for": `10.1.${(turn >> 8) & 255}.${turn & 255}`,
      },
    };
  };
}

function lists({ lists: asked = [] }: CostlyRequests): () => Shot {
  let turn = 0;
  return () => {
    const [path, method] = asked[(turn += 1) % asked.length] ?? ["/mcp", "tools/list"];
    return { path, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: {} }) };
  };
}
