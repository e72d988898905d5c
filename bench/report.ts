// `npm run bench:report`: renews the tables and plots of docs/performance.md from the kept figures. I/O.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { goalTable, measured } from "./goals.ts";
import { AXES } from "./growth-axes.ts";
import type { AxisResult } from "./parts/axis.ts";
import type { OverloadResult } from "./parts/overload.ts";
import { growthPlot, overloadPlot, ratioPlot } from "./plots.ts";
import { ROOT } from "./processes.ts";
import { FOLDER, type Kept } from "./results.ts";
import { ROWS } from "./rows.ts";
import { table, warnings } from "./table.ts";
import { withBlock } from "./page.ts";

type AnyResult = { readonly text?: string; readonly date?: string; readonly machine: Readonly<Record<string, string>> };

function read(name: string): AnyResult | null {
  const file = join(FOLDER, `${name}.json`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as AnyResult) : null;
}

const kept = (name: string) => read(name) as Kept | null;

const told = ({ date = "", machine }: AnyResult) => `${date}, ${Object.values(machine).join(" · ")}`;

/** The tables by the names of their blocks. */
function blocks(): ReadonlyMap<string, string> {
  const found = new Map([["goals", goalTable(kept)]]);
  for (const { name } of ROWS) {
    const result = kept(name);
    if (result !== null) found.set(name, [table(result), "", told(result), ...warnings(result)].join("\n"));
  }
  for (const name of [...AXES.map((axis) => axis.name), "memory", "start", "overload"]) {
    const result = read(name);
    if (result !== null) found.set(name, `${result.text ?? ""}\n\n${told(result)}`);
  }
  return found;
}

function plots(): void {
  const folder = join(ROOT, "docs/images");
  mkdirSync(folder, { recursive: true });
  const write = (name: string, text: string) => writeFileSync(join(folder, `performance-${name}.svg`), text);
  write("ratios", ratioPlot(measured(kept)));
  const axes = AXES.flatMap(({ name }) => {
    const result = read(name) as (AxisResult & AnyResult) | null;
    return result === null ? [] : [{ ...result, name }];
  });
  write("growth", growthPlot(axes));
  const overload = read("overload") as (OverloadResult & AnyResult) | null;
  write("overload", overloadPlot(overload?.slots ?? []));
}

const PAGE = join(ROOT, "docs/performance.md");
let page = readFileSync(PAGE, "utf8");
for (const [name, text] of blocks()) page = withBlock(page, name, text);
writeFileSync(PAGE, page);
plots();
