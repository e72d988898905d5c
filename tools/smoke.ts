// `npm run smoke`: the lines that the compose stack prints, pasted into a shell, with what each must show; and that
// every container runs as hardened as docker-compose.yml says. For a stack that is up; needs curl.
import { spawnSync } from "node:child_process";
import {
  composePlace,
  composeWhyLine,
  curlLine,
  inspectorLine,
  WORLD_STEPS,
  type DemoStep,
} from "../demo/demo-steps.ts";

export interface SmokeResult {
  readonly title: string;
  /** Null when all is well. */
  readonly fault: string | null;
}

function shell(line: string): string {
  const { stdout, stderr, status } = spawnSync("sh", ["-c", line], { encoding: "utf8", timeout: 60_000 });
  return status === 0 ? stdout : `${stdout}${stderr}(exit code ${status})`;
}

const place = () => composePlace(`http://127.0.0.1:${process.env["GATEWAY_PORT"] ?? "8080"}`);

/** serve looks for the catalogue once a second: a stack that has just come up gets some tries. */
function stepFault(step: DemoStep, tries = 10): string | null {
  const fault = onceFault(step);
  if (fault === null || tries === 1) return fault;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  return stepFault(step, tries - 1);
}

function onceFault(step: DemoStep): string | null {
  const answer = shell(curlLine(place(), step));
  const missing = step.shows.find((text) => !answer.includes(text));
  if (missing !== undefined) return `the answer lacks ${missing}:\n${answer}`;
  const signature = step.person === null ? "" : shell(place().tokenCommand(step.person)).trim().split(".")[2];
  return signature !== undefined && signature !== "" && answer.includes(signature)
    ? "the answer holds her token"
    : null;
}

/** A list by the MCP Inspector, a client that is not ours. */
function inspectorFault(): string | null {
  const list = shell(inspectorLine(place(), "alice", "--method tools/list"));
  if (!list.includes("whoami")) return `alice's list lacks whoami:\n${list}`;
  return list.includes("delete_repo") ? "alice's list holds delete_repo" : null;
}

/** Its exit code is 1, as the answer is a refusal. */
function whyFault(): string | null {
  const answer = shell(composeWhyLine(place()));
  return answer.startsWith("refuse policy_denied\n") && answer.includes("(exit code 1)") ? null : answer;
}

/** The stack prints these very lines itself. */
function announcementFault(): string | null {
  const log = shell("docker compose logs --no-log-prefix idp");
  return WORLD_STEPS.every((step) => log.includes(curlLine(place(), step))) ? null : `it printed other lines:\n${log}`;
}

interface ContainerFacts {
  readonly Name: string;
  readonly Config: { readonly User: string };
  readonly HostConfig: {
    readonly ReadonlyRootfs: boolean;
    readonly CapDrop: readonly string[] | null;
    readonly SecurityOpt: readonly string[] | null;
    readonly Memory: number;
    readonly Privileged: boolean;
  };
}

function hardeningFault(): string | null {
  const containers = JSON.parse(shell("docker inspect $(docker compose ps -aq)")) as readonly ContainerFacts[];
  const soft = containers.filter(
    ({ Config, HostConfig }) =>
      !/^[1-9]\d*:[1-9]\d*$/.test(Config.User) ||
      !HostConfig.ReadonlyRootfs ||
      HostConfig.Privileged ||
      HostConfig.CapDrop?.join(" ") !== "ALL" ||
      !(HostConfig.SecurityOpt ?? []).some((option) => option.startsWith("no-new-privileges")) ||
      HostConfig.Memory === 0,
  );
  if (containers.length === 0) return "no container is there";
  return soft.length === 0 ? null : soft.map(({ Name }) => Name).join(", ");
}

/** Asks the stack everything. */
export function smoke(): SmokeResult[] {
  const results: SmokeResult[] = WORLD_STEPS.map((step) => ({ title: step.title, fault: stepFault(step) }));
  results.push({ title: "alice's list in the Inspector", fault: inspectorFault() });
  results.push({ title: "why she was refused", fault: whyFault() });
  results.push({ title: "the stack prints these lines", fault: announcementFault() });
  results.push({ title: "every container is read-only, nobody, without capabilities", fault: hardeningFault() });
  for (const { title, fault } of results)
    console.log(fault === null ? `ok      ${title}` : `FAILED  ${title}\n${fault}`);
  return results;
}

if (process.argv[1]?.endsWith("smoke.ts") === true) {
  const failed = smoke().filter(({ fault }) => fault !== null).length;
  process.exitCode = failed === 0 ? 0 : 1;
}
