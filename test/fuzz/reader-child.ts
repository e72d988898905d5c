// One foreign reader: a child that reads texts as long as it lives, so that what it remembers of one is there for the next.
//
// The protocol, in binary and little-endian: we send frames of a byte (1 JSON, 2 URI; bit 7: answer all that was sent), the
// text's length in 4 bytes, and the text. It answers each, in order, with as many forms as it has views of that kind: their
// length in 4 bytes (0xFFFFFFFF: refused) and the form in UTF-8.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

export const WIRE_JSON = 1;
export const WIRE_URI = 2;
export type Wire = typeof WIRE_JSON | typeof WIRE_URI;
const ANSWER_NOW = 0x80;
const REFUSED = 0xffff_ffff;

export interface ReaderSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** It reads fractions of 16 and 17 digits as the double beside the nearest, by design. */
  readonly roundsTwice?: true;
  /** What it says of each JSON text and of each URI, by the names of our forms. */
  readonly views: Readonly<Record<"json" | "uri", readonly View[]>>;
}

export interface View {
  readonly name: string;
  /** Which of our forms it must be equal to. */
  readonly form: "value" | "typed" | "uri" | "path";
}

export interface Text {
  readonly wire: Wire;
  readonly bytes: Buffer;
}

export class ReaderChild {
  readonly spec: ReaderSpec;
  readonly #process: ChildProcess;
  #chunks: Buffer[] = [];
  #wake: (() => void) | null = null;
  #ended = false;

  constructor(spec: ReaderSpec) {
    this.spec = spec;
    this.#process = spawn(spec.command, [...spec.args], { stdio: ["pipe", "pipe", "inherit"] });
    this.#process.stdout?.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#wake?.();
    });
    const end = () => {
      this.#ended = true;
      this.#wake?.();
    };
    this.#process.on("error", end).on("exit", end);
    this.#process.stdin?.on("error", end);
  }

  /** The forms of each text, in the order of its views; null where it refuses. @throws {Error} if the child ended */
  async read(texts: readonly Text[]): Promise<(string | null)[][]> {
    if (texts.length === 0) return [];
    this.#send(texts);
    const answers: (string | null)[][] = [];
    let held: Buffer = Buffer.alloc(0);
    while (answers.length < texts.length) {
      held = await this.#more(held);
      let at = 0;
      for (;;) {
        const text = texts[answers.length];
        const parsed = text === undefined ? null : parseForms(held, at, this.#viewsOf(text).length);
        if (parsed === null) break;
        answers.push(parsed.forms);
        at = parsed.end;
      }
      held = held.subarray(at);
    }
    return answers;
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    const gone = once(this.#process, "exit");
    this.#process.stdin?.end();
    this.#process.kill();
    await gone;
  }

  #viewsOf({ wire }: Text): readonly View[] {
    return this.spec.views[wire === WIRE_JSON ? "json" : "uri"];
  }

  #send(texts: readonly Text[]): void {
    const parts: Buffer[] = [];
    for (const [i, { wire, bytes }] of texts.entries()) {
      const head = Buffer.alloc(5);
      head[0] = i === texts.length - 1 ? wire | ANSWER_NOW : wire;
      head.writeUInt32LE(bytes.length, 1);
      parts.push(head, bytes);
    }
    this.#process.stdin?.write(Buffer.concat(parts));
  }

  async #more(held: Buffer): Promise<Buffer> {
    while (this.#chunks.length === 0) {
      if (this.#ended) throw new Error(`reader ${this.spec.name} ended`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    const whole = Buffer.concat([held, ...this.#chunks]);
    this.#chunks = [];
    return whole;
  }
}

function parseForms(held: Buffer, from: number, count: number): { forms: (string | null)[]; end: number } | null {
  const forms: (string | null)[] = [];
  let at = from;
  for (let i = 0; i < count; i += 1) {
    if (held.length - at < 4) return null;
    const length = held.readUInt32LE(at);
    at += 4;
    if (length !== REFUSED && held.length - at < length) return null;
    forms.push(length === REFUSED ? null : held.toString("utf8", at, at + length));
    if (length !== REFUSED) at += length;
  }
  return { forms, end: at };
}
