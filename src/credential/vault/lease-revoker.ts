// Revokes leases at a Vault: a few at a time, each tried again while the Vault is away; what cannot be revoked ends by itself.
// I/O through the log-in's session.
import type { Later } from "../../async/later.ts";
import type { HeldLease } from "./held-lease.ts";
import type { LeaseEvent } from "./lease.ts";
import type { VaultSession } from "./session.ts";

export interface LeaseRevokerDeps {
  readonly session: Pick<VaultSession, "ask">;
  readonly later: Later;
  readonly onEvent: (event: LeaseEvent, server: string, detail: string) => void;
}

const AT_ONCE = 8;
/** Waits between the tries, in milliseconds. */
const RETRIES = [250, 1000, 4000];
/** Time for all of them when the process ends, in milliseconds: the log-in's token, which ends next, takes the rest with it. */
const CLOSING_MS = 3000;

export class LeaseRevoker {
  readonly #deps: LeaseRevokerDeps;
  readonly #waiting: HeldLease[] = [];
  readonly #running = new Set<Promise<void>>();
  #closed = false;

  constructor(deps: LeaseRevokerDeps) {
    this.#deps = deps;
  }

  revoke(lease: HeldLease): void {
    this.#waiting.push(lease);
    if (this.#running.size >= AT_ONCE) return;
    const running = this.#run().finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const { later } = this.#deps;
    const limit = new Promise<void>((done) => later(done, CLOSING_MS));
    while (this.#running.size > 0) {
      const isLate = await Promise.race([limit.then(() => true), Promise.all(this.#running).then(() => false)]);
      if (isLate) return;
    }
  }

  async #run(): Promise<void> {
    for (let lease = this.#waiting.shift(); lease !== undefined; lease = this.#waiting.shift()) {
      const fault = await this.#revoke(lease);
      this.#deps.onEvent(fault === null ? "revoked" : "not_revoked", lease.server, fault ?? "");
    }
  }

  /** @returns the fault */
  async #revoke({ id }: HeldLease): Promise<string | null> {
    const { session, later } = this.#deps;
    for (let attempt = 0; ; attempt += 1) {
      const response = await session.ask((client) => client.revokeLease(id));
      if (response.ok && response.status < 300) return null;
      const fault = response.ok ? `status ${response.status}` : response.fault;
      const wait = RETRIES[attempt];
      const mayHeal = !response.ok || response.status >= 500 || response.status === 429;
      if (!mayHeal || wait === undefined || this.#closed) return fault;
      await new Promise<void>((done) => later(done, wait));
    }
  }
}
