// One interface for two labs: the system as processes on this machine, or as containers from images.
import type { LabKind, OpenLab } from "./lab-interface.ts";
import { containersMissing, openContainerLab } from "./container-lab.ts";
import { openProcessLab, processesMissing } from "./process-lab.ts";

/** Whether the engine may fetch and build what is not there. */
const mayPull = () => process.env["LAB_PULL"] === "1";

/**
 * Opens the lab that `LAB` names: `processes`, `containers`, or `auto` for the first that is complete, containers before
 * processes.
 * @throws with the list of what is missing: a test never skips because its lab is not there
 */
export async function openLab(folder: string, want: string | undefined = process.env["LAB"]): Promise<OpenLab> {
  const kind = await chooseLab(want ?? "auto", {
    containers: () => containersMissing(mayPull()),
    processes: async () => processesMissing(),
  });
  return kind === "containers" ? openContainerLab(folder, mayPull()) : openProcessLab(folder);
}

/** What each kind lacks on this machine, one sentence per thing. */
export type MissingParts = Readonly<Record<LabKind, () => Promise<readonly string[]>>>;

/** @throws with everything that is missing of the kinds that would do */
export async function chooseLab(want: string, missing: MissingParts): Promise<LabKind> {
  if (!["auto", "containers", "processes"].includes(want))
    throw new Error(`LAB=${want}: it is auto, containers or processes`);
  const faults: string[] = [];
  for (const kind of ["containers", "processes"] as const) {
    if (want !== "auto" && want !== kind) continue;
    const gone = await missing[kind]();
    if (gone.length === 0) return kind;
    faults.push(`no lab of ${kind}:`, ...gone.map((line) => `  ${line}`));
  }
  throw new Error(`LAB=${want}\n${faults.join("\n")}`);
}
