// A thread that compiles output schemas as the official clients do, one at a time. Nothing is validated with them, and no
// `$ref` is fetched. It may run away or out of memory: output-schemas.ts ends it then. I/O: messages of its thread.
import { parseJson } from "../../json/parse.ts";
import { parentPort } from "node:worker_threads";
import { Ajv, type Options } from "ajv";
import { Ajv2019 } from "ajv/dist/2019.js";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { schemaFault } from "./schema-fault.ts";

/** Those of the official TypeScript clients (1.32 and 2.4), without their warnings. */
const OPTIONS: Options = {
  strict: false,
  validateFormats: true,
  validateSchema: false,
  allErrors: true,
  logger: false,
};

type Engine = InstanceType<typeof Ajv | typeof Ajv2019 | typeof Ajv2020>;
const engines = new Map<string, Engine>();

/** Version 1 has one engine, whatever the schema says. */
const FIRST = "http://json-schema.org/draft-07/schema";
const MAKERS: ReadonlyMap<string, () => Engine> = new Map<string, () => Engine>([
  [FIRST, () => new Ajv(OPTIONS)],
  ["http://json-schema.org/draft-06/schema", () => new Ajv(OPTIONS)],
  ["https://json-schema.org/draft/2019-09/schema", () => new Ajv2019(OPTIONS)],
  ["https://json-schema.org/draft/2020-12/schema", () => new Ajv2020(OPTIONS)],
]);

/** What version 2 takes for the dialect: without the last `#`, with http or https. */
function dialectOf(schema: Readonly<Record<string, unknown>>): string | null {
  const declared = schema["$schema"];
  if (typeof declared !== "string") return "https://json-schema.org/draft/2020-12/schema";
  const address = declared.replace(/#$/, "").replace(/^https?:/, "");
  return [...MAKERS.keys()].find((known) => known.replace(/^https?:/, "") === address) ?? null;
}

function compile(dialect: string, schema: object): boolean {
  const engine = engines.get(dialect) ?? MAKERS.get(dialect)?.();
  if (engine === undefined) return false;
  if (!engines.has(dialect)) addFormats.default(engine);
  engines.set(dialect, engine);
  try {
    engine.compile(schema);
    return true;
  } catch {
    return false;
  } finally {
    forget(dialect, engine, schema);
  }
}

/** What an engine keeps of a schema must not meet the next one. */
function forget(dialect: string, engine: Engine, schema: object): void {
  try {
    engine.removeSchema(schema);
  } catch {
    engines.delete(dialect);
  }
}

/** True if every client can compile it. @param text JSON */
function compiles(text: string): boolean {
  const schema = parseJson(text) as Readonly<Record<string, unknown>>;
  if (schemaFault(schema) !== null) return false;
  const dialect = dialectOf(schema);
  if (dialect === null) return false;
  return [...new Set([FIRST, dialect])].every((each) => compile(each, structuredClone(schema)));
}

parentPort?.on("message", (text: string) => parentPort?.postMessage(compiles(text)));
parentPort?.postMessage("ready");
