import type { Reply } from "./client.ts";
import { member } from "./json-fields.ts";

/** What is wrong with a mount, and what to do; null for a KV v2 one. */
export interface MountFault {
  readonly detail: string;
  /** Null when the mount is not at fault, but the Vault. */
  readonly remedy: string | null;
}

/**
 * Reads `sys/internal/ui/mounts/<mount>`. Without this, a KV v1 mount could not be told from one without an entry: it
 * answers the path of v2 with the same 404.
 */
export function faultOfMount(reply: Reply, mount: string): MountFault | null {
  if (!reply.ok) return { detail: reply.fault, remedy: null };
  if (reply.status === 403) {
    const remedy = "mount a KV v2 engine there, and allow our log-in to read in it";
    return { detail: "the mount is not there, or our log-in may not read in it", remedy };
  }
  if (reply.status !== 200) return { detail: `status ${reply.status} for the mount`, remedy: null };
  const data = member(reply.body, "data");
  if (member(data, "path") !== `${mount}/`) {
    return { detail: "the mount has another path", remedy: "name the whole path of the mount" };
  }
  if (member(data, "type") === "kv" && member(member(data, "options"), "version") === "2") return null;
  const remedy = "name a KV v2 mount, or upgrade this one: kv enable-versioning";
  return { detail: "the mount is not KV version 2", remedy };
}
