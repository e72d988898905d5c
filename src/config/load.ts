// Reads a configuration file: YAML, variables, secrets, shape, rules. The only reader of it and of the environment. I/O.
import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parseDocument } from "yaml";
import type { z } from "zod";
import { checkRules } from "./rules.ts";
import { hostPolicyOf } from "./rules/host-policy.ts";
import type { Problem } from "./problem.ts";
import { configSchema, type Config } from "./schema.ts";
import { errorCode, unreadable } from "../files/read-error.ts";

export type { Config } from "./schema.ts";

const MAX_FILE_BYTES = 1024 * 1024;

/** A configuration that cannot be used, with every problem, each with its key and what to do. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[]) {
    super(
      [
        `${file}: ${problems.length} problem(s)`,
        ...problems.map((p) => `  ${p.key}: ${p.message.replaceAll("\n", "\n    ")}`),
      ].join("\n"),
    );
    this.name = "ConfigError";
    this.problems = problems;
  }
}

export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly Problem[];
}

/**
 * Reads and checks the configuration.
 * @param onSecret receives the path of each file that a secret is read from
 * @param env where `${VAR}` and `{env: NAME}` look
 * @throws {ConfigError} with all problems at once
 */
export function loadConfig(
  path: string,
  env: Readonly<Record<string, string | undefined>>,
  onSecret: (file: string) => void = () => {},
): LoadedConfig {
  const warnings: Problem[] = [];
  const tree = readYaml(path);
  const unset: Problem[] = [];
  const expanded = expand(tree, "", { env, unset });
  if (unset.length > 0) throw new ConfigError(path, unset);
  const folder = dirname(resolve(path));
  const resolvePath = (text: string) => resolve(folder, text);
  const readSecret = (source: { file: string } | { env: string }) => {
    if ("env" in source) return readEnv(source.env, env);
    const file = resolvePath(source.file);
    onSecret(file);
    return readSecretFile(file, warnings);
  };
  const parsed = configSchema(readSecret, resolvePath).safeParse(expanded);
  if (!parsed.success) throw new ConfigError(path, parsed.error.issues.flatMap(toProblems));
  const rules = checkRules(parsed.data);
  if (rules.problems.length > 0) throw new ConfigError(path, rules.problems);
  return { config: withoutDisabled(parsed.data), warnings: [...warnings, ...openKeys(parsed.data), ...rules.warnings] };
}

/** Rules hold for disabled servers too; nothing else ever sees one. */
function withoutDisabled(config: Config): Config {
  const servers = Object.entries(config.servers).filter(([, { disabled }]) => !disabled);
  const policy = { ...config.policy, envoy: hostPolicyOf(config) };
  return { ...config, policy, servers: Object.fromEntries(servers) };
}

function readYaml(path: string): unknown {
  const fail = (message: string) => new ConfigError(path, [{ key: "(file)", message }]);
  let text: string;
  try {
    if (statSync(path).size > MAX_FILE_BYTES) throw fail("is larger than 1 MiB");
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw fail(`cannot be read (${errorCode(error)}); name it with --config or MCP_AUTHZ_CONFIG`);
  }
  const document = parseDocument(text, { uniqueKeys: true });
  const [first] = document.errors;
  if (first) throw fail(`is not YAML: ${first.message.split("\n")[0] ?? ""}`);
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch {
    throw fail("has too many aliases");
  }
}

/** The environment for `${VAR}`, and the problems of variables that are not set. */
interface Variables {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly unset: Problem[];
}

function expand(node: unknown, key: string, variables: Variables): unknown {
  if (typeof node === "string") {
    return node.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, name: string) => {
      const value = variables.env[name];
      if (value === undefined) variables.unset.push({ key, message: `the variable ${name} is not set` });
      return value ?? "";
    });
  }
  if (Array.isArray(node)) return node.map((item, i) => expand(item, `${key}[${i}]`, variables));
  if (typeof node !== "object" || node === null) return node;
  return Object.fromEntries(
    Object.entries(node).map(([name, value]) => [name, expand(value, key === "" ? name : `${key}.${name}`, variables)]),
  );
}

function readEnv(name: string, env: Readonly<Record<string, string | undefined>>): string {
  const value = env[name];
  if (value === undefined || value === "") throw new Error(`the variable ${name} is not set or empty`);
  return value;
}

function readSecretFile(path: string, warnings: Problem[]): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
    // Files are read again while serve runs: one warning each.
    if (isOpenToAll(path) && !warnings.some(({ key }) => key === path)) warnings.push(openFile(path));
  } catch (error) {
    throw new Error(`the file ${path} ${unreadable(error)}`, { cause: error });
  }
  const secret = text.replace(/\r?\n$/, "");
  if (secret === "") throw new Error(`the file ${path} is empty: write the secret into it`);
  return secret;
}

/** Warns of private keys, which are read later: any user who can read one can sign for the gateway (threat model: F07). */
function openKeys({ wristband, assertions, tls, sessions }: Config): Problem[] {
  const listeners = [tls.authz, tls.ops, tls.broker, tls.brokerOps, tls.authzen];
  const ours = [...wristband.keys, ...(assertions?.keys ?? []), ...(sessions?.keys ?? [])].map(({ file }) => file);
  const files = [...ours, ...listeners.flatMap((one) => one?.keyFile ?? [])];
  return files.filter(isOpenToAll).map(openFile);
}

function isOpenToAll(path: string): boolean {
  try {
    return (statSync(path).mode & 0o004) !== 0;
  } catch {
    return false; // whatever reads the file reports that
  }
}

function openFile(path: string): Problem {
  return { key: path, message: "holds a secret and can be read by every user: chmod 600" };
}

function toProblems(issue: z.core.$ZodIssue): Problem[] {
  const key = issue.path.reduce<string>(
    (at, part) => (typeof part === "number" ? `${at}[${part}]` : at === "" ? String(part) : `${at}.${String(part)}`),
    "",
  );
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((name) => ({
      key: key === "" ? name : `${key}.${name}`,
      // zod's own words name the keys once more
      message: issue.message.startsWith("Unrecognized key") ? "is not a key of this file" : issue.message,
    }));
  }
  if (issue.code === "invalid_key") return issue.issues.map(({ message }) => ({ key, message }));
  if (issue.code === "invalid_type" && issue.input === undefined)
    return [{ key: key || "(file)", message: "is required" }];
  return [{ key: key || "(file)", message: issue.message }];
}
