// A disk that can be full: a small file system of its own where this user may mount one, else /dev/full in a file's place.
import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface SmallDisk {
  /** A file system of its own; false where one file only can be full. */
  readonly mounted: boolean;
  fill(): void;
  makeRoom(): void;
  remove(): void;
}

const BYTES = 1024 * 1024;

/** @param folder where it is to be @param file the one in it that is written to */
export function makeSmallDisk(folder: string, file: string): SmallDisk {
  mkdirSync(folder, { recursive: true });
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${BYTES}`, "tmpfs", folder]).status === 0;
  const filler = join(folder, "filler");
  const path = join(folder, file);
  return {
    mounted,
    fill() {
      if (mounted) {
        fillUp(filler);
      } else {
        renameSync(path, `${path}.before`);
        symlinkSync("/dev/full", path);
      }
    },
    makeRoom: () => rmSync(mounted ? filler : path, { force: true }),
    remove() {
      if (mounted) spawnSync("umount", ["-l", folder]);
    },
  };
}

function fillUp(filler: string): void {
  try {
    writeFileSync(filler, Buffer.alloc(2 * BYTES));
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "ENOSPC") throw error;
  }
}
