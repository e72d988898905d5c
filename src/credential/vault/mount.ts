// Checks that a mount is a KV version 2 engine. Pure.
import type { VaultResponse } from "./client.ts";
import { member } from "./json-fields.ts";

/** The fault of a mount. */
export interface MountFault {
  readonly detail: string;
  /** The action for the operator; null if the fault is the Vault's, not the mount's. */
  readonly remedy: string | null;
}

/**
 * Reads the response to `sys/internal/ui/mounts/<mount>`; null for a KV v2 mount. Without this check a KV v1 mount looks like
 * one without the entry: it responds to a path of v2 with the same 404.
 */
export function faultOfMount(response: VaultResponse, mount: string): MountFault | null {
  if (!response.ok) return { detail: response.fault, remedy: null };
  if (response.status === 403) {
    const remedy = "mount a KV v2 engine there, and allow our log-in to read in it";
    return { detail: "the mount is not there, or our log-in may not read in it", remedy };
  }
  if (response.status !== 200) return { detail: `status ${response.status} for the mount`, remedy: null };
  const data = member(response.body, "data");
  if (member(data, "path") !== `${mount}/`) {
    return { detail: "the mount has another path", remedy: "name the whole path of the mount" };
  }
  if (member(data, "type") === "kv" && member(member(data, "options"), "version") === "2") return null;
  const remedy = "name a KV v2 mount, or upgrade this one: kv enable-versioning";
  return { detail: "the mount is not KV version 2", remedy };
}
