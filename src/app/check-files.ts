// Reads every file that a configuration names, before the start and for `check-config`. I/O: files only.
import { accessSync, constants, statSync } from "node:fs";
import { dirname } from "node:path";
import { destinations, type Destination } from "../config/destinations.ts";
import { ConfigError, type Config } from "../config/load.ts";
import type { Problem } from "../config/problem.ts";
import { ConfigProblem } from "../files/config-problem.ts";
import { readTlsFiles } from "../files/tls.ts";
import { isWithoutOpa, loadPolicy } from "../policy/load.ts";
import { findOpa } from "../policy/opa.ts";
import { unreadable } from "../files/read-error.ts";
import { loadAssertionKeys } from "./assertion-keys.ts";
import { loadSigningKey } from "../wristband/keys.ts";
import { readCaFile } from "../files/ca.ts";
import { loadSealKey } from "./seal-keys.ts";
import { readRevocationFile } from "./serve/revocations.ts";
import { tlsOf } from "./tls-listeners.ts";

/** The program that reads a file. Envoy may run on another machine. */
type Reader = "serve" | "broker" | "envoy";

/** One file of the configuration. Reading it throws a {@link ConfigProblem}. */
interface NamedFile {
  readonly reader: Reader;
  readonly read: () => unknown;
}

/** Lists the files. Secret files are not among them: they are read with the configuration itself. */
function namedFiles(config: Config): NamedFile[] {
  return [
    ...(["authz", "ops", "authzen"] as const).map((name): NamedFile => ({
      reader: "serve",
      read: () => tlsOf(config, name),
    })),
    ...(["broker", "brokerOps"] as const).map((name): NamedFile => ({
      reader: "broker",
      read: () => tlsOf(config, name),
    })),
    ...config.wristband.keys.map((_, i): NamedFile => ({
      reader: "serve",
      read: () => loadSigningKey(config.wristband.keys, i),
    })),
    { reader: "serve", read: () => loadAssertionKeys(config) },
    ...(config.sessions?.keys ?? []).flatMap((key, i) =>
      (["serve", "broker"] as const).map((reader): NamedFile => ({
        reader,
        read: () => loadSealKey(key, `sessions.keys[${i}]`),
      })),
    ),
    { reader: "serve", read: () => readRevocationFile(config) },
    { reader: "serve", read: () => tryAuditFile(config.audit.file) },
    ...caFiles(config).map(([reader, key, file]): NamedFile => ({ reader, read: () => readCaFile(key, file) })),
    ...envoyPairs(config),
  ];
}

function caFiles(config: Config): [NamedFile["reader"], string, string | null][] {
  const { authz, broker } = config.envoy.tls;
  return [
    ...destinations(config).flatMap(({ by, caKey, caFile }) =>
      readersOf(by).map((reader): ReturnType<typeof caFiles>[number] => [reader, caKey, caFile]),
    ),
    ["envoy", "envoy.tls.listen.clientCaFile", config.envoy.tls.listen?.clientCaFile ?? null],
    ["envoy", "envoy.tls.authz.caFile", authz?.caFile ?? null],
    ["envoy", "envoy.tls.broker.caFile", broker?.caFile ?? null],
  ];
}

function readersOf(by: Destination["by"]): readonly Exclude<Destination["by"], "both">[] {
  return by === "both" ? ["serve", "broker"] : [by];
}

function envoyPairs({ envoy }: Config): NamedFile[] {
  return (["listen", "authz", "broker"] as const).flatMap((name): NamedFile[] => {
    const files = envoy.tls[name];
    if (files?.certFile == null || files.keyFile == null) return [];
    const { certFile, keyFile } = files;
    const pair = { certFile, keyFile, clientCaFile: null, clientSans: [] };
    return [{ reader: "envoy", read: () => readTlsFiles(`envoy.tls.${name}`, pair, Date.now()) }];
  });
}

/** Checks that the audit log can be written, without writing: no request is allowed without its audit line. */
function tryAuditFile(file: string | null): void {
  if (file === null) return;
  const fault = (what: string) => new ConfigProblem("audit.file", `${file} cannot be written: ${what}`);
  const look = (path: string) => {
    try {
      return statSync(path, { throwIfNoEntry: false });
    } catch (error) {
      throw new ConfigProblem("audit.file", `${path} ${unreadable(error)}`, { cause: error });
    }
  };
  const found = look(file);
  if (found?.isDirectory() === true) throw fault("it is a folder; name a file");
  const target = found === undefined ? dirname(file) : file;
  if (look(target) === undefined) throw fault(`create the folder ${target}`);
  try {
    accessSync(target, constants.W_OK);
  } catch {
    throw fault(`let this user write to ${target}`);
  }
}

async function faultsOf(files: readonly NamedFile[]): Promise<Problem[]> {
  const faults: Problem[] = [];
  for (const { read } of files) {
    try {
      await read();
    } catch (error) {
      faults.push(asProblem(error));
    }
  }
  return faults;
}

function asProblem(error: unknown): Problem {
  if (error instanceof ConfigProblem) return { key: error.key, message: error.reason };
  return { key: "(file)", message: error instanceof Error ? error.message : "failed" };
}

/**
 * Reads every file of one service before it starts, except for the policy, which the start compiles.
 * @param path of the configuration
 * @throws {ConfigError} with all problems
 */
export async function requireFiles(path: string, config: Config, reader: "serve" | "broker"): Promise<void> {
  const problems = await faultsOf(namedFiles(config).filter((file) => file.reader === reader));
  if (problems.length > 0) throw new ConfigError(path, problems);
}

/**
 * Reads every file, the policy included, and returns the warnings: a file of Envoy, which may be on another machine; a policy
 * that cannot be checked without opa; a policy that allows any caller everything.
 * @param path of the configuration
 * @param reader the program whose files are read; null for all
 * @throws {ConfigError} with all problems that are no warnings
 */
export async function checkFiles(path: string, config: Config, reader: Reader | null): Promise<Problem[]> {
  const files = namedFiles(config).filter((file) => reader === null || file.reader === reader);
  const isEnvoys = (file: NamedFile) => file.reader === "envoy";
  const policy = reader === null || reader === "serve" ? await tryPolicy(config) : { fault: null, warnings: [] };
  const problems = await faultsOf(files.filter((file) => !isEnvoys(file)));
  const warnings = (await faultsOf(files.filter(isEnvoys))).map(({ key, message }) => ({
    key,
    message: `${message} (no fault if it is there where Envoy runs)`,
  }));
  warnings.push(...policy.warnings);
  if (policy.fault !== null) problems.push(policy.fault);
  if (problems.length > 0) throw new ConfigError(path, problems);
  return warnings;
}

interface PolicyVerdict {
  readonly fault: Problem | null;
  readonly warnings: readonly Problem[];
}

async function tryPolicy({ policy }: Config): Promise<PolicyVerdict> {
  try {
    const { open, findings } = await loadPolicy({ ...policy, findOpa });
    const warnings = [...(open === null ? [] : [open]), ...findings];
    return { fault: null, warnings: warnings.map((message) => ({ key: "policy.path", message })) };
  } catch (error) {
    const problem = asProblem(policyError(policy.path, error));
    return isWithoutOpa(error) ? { fault: null, warnings: [problem] } : { fault: problem, warnings: [] };
  }
}

/** Adds key and path to an error of the policy's compiler or reader. */
export function policyError(path: string, error: unknown): ConfigProblem {
  if (error instanceof ConfigProblem) return error;
  const message = error instanceof Error ? ("syscall" in error ? unreadable(error) : error.message) : "failed";
  return new ConfigProblem("policy.path", `${path}: ${message}`, { cause: error });
}
