// SIGUSR1 opens Node's inspector, which lets whoever reaches it run code: not in serve, nor in the broker.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { legacy } from "../e2e/client.ts";
import { openAttackLab, told, type AttackLab } from "./lab.ts";

let lab: AttackLab;

beforeAll(async () => {
  lab = await openAttackLab();
});
afterAll(() => lab.stop());

/** The TCP ports that a process listens on, by its sockets in /proc. */
function listening(pid: number): number[] {
  const folder = `/proc/${pid}/fd`;
  const inodes = new Set(
    readdirSync(folder).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    }),
  );
  const LISTEN = "0A";
  return readFileSync(`/proc/${pid}/net/tcp`, "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === LISTEN && inodes.has(inode ?? ""))
    .map(([, address]) => Number.parseInt(address?.split(":")[1] ?? "", 16));
}

it.each(["serve", "broker"] as const)("SIGUSR1 opens no port in %s [F19]", async (name) => {
  const child = lab.children[name];
  const before = listening(child.pid);
  expect(before.length).toBeGreaterThan(0);
  child.kill("SIGUSR1");
  await delay(1500);
  // A process that ends of it has no inspector either, but it does not go on.
  expect(child.running()).toBe(true);
  expect(listening(child.pid)).toEqual(before);
  // "Debugger listening on", or that its port is taken.
  expect(child.output()).not.toMatch(/debugger|inspector/i);
});

it("and they go on [F19]", async () => {
  const token = await lab.idp.mint("alice");
  const call = { name: "echo", arguments: { text: "x" } };
  expect(told(await legacy(lab.gateway, "tools/call", call, { token }))).toBe("200");
});
