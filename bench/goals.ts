// What is asked of one core, held against the kept figures: ratios of windows of the same round. Pure.
import type { Kept } from "./results.ts";
import type { VariantResult } from "./run.ts";
import { markdown } from "./table.ts";
import { quantile, ratios, spreadOf } from "./statistics.ts";

interface Goal {
  readonly title: string;
  readonly row: string;
  /** The variant that is the measure. */
  readonly base: string;
  readonly must: number;
  readonly aim: number;
}

const OPA = "opa-envoy-plugin";

export const GOALS: readonly Goal[] = [
  { title: "decision, × opa-envoy-plugin", row: "decision", base: OPA, must: 5, aim: 8 },
  { title: "decision, × Authorino", row: "decision", base: "authorino", must: 12, aim: 20 },
  { title: "relayed call with wristband, × opa-envoy-plugin", row: "relay", base: OPA, must: 8, aim: 12 },
  { title: "list, × opa-envoy-plugin", row: "list", base: OPA, must: 4, aim: 8 },
  { title: "kept Vault secret, × opa-envoy-plugin", row: "vault", base: OPA, must: 6, aim: 9 },
  { title: "16 KiB body, × opa-envoy-plugin", row: "body", base: OPA, must: 3, aim: 4 },
  { title: "every token new, × opa-envoy-plugin", row: "cold", base: OPA, must: 2.5, aim: 3 },
  { title: "broker's list, × Kuadrant's broker", row: "broker-list", base: "kuadrant-broker", must: 15, aim: 25 },
];

export interface Measured extends Goal {
  readonly low: number;
  readonly middle: number;
  readonly high: number;
}

/** Those of which there are figures. */
export function measured(kept: (name: string) => Kept | null): readonly Measured[] {
  return GOALS.flatMap((goal) => {
    const variants = kept(goal.row)?.variants ?? [];
    const [base, ours] = [variants.find(({ name }) => name === goal.base), variants.at(-1)];
    if (base === undefined || ours === undefined || base === ours) return [];
    return [{ ...goal, ...spreadOf(ratios(perSecond(ours), perSecond(base))) }];
  });
}

const perSecond = ({ windows }: VariantResult) => (windows["saturated"] ?? []).map((window) => window.perSecond);

export function goalTable(kept: (name: string) => Kept | null): string {
  const rows = measured(kept).map(({ title, low, middle, high, must, aim }) => [
    title,
    `**${middle.toFixed(1)}** [${low.toFixed(1)}–${high.toFixed(1)}]`,
    ...[must, aim].map((goal) => `${goal} ${middle >= goal ? "✓" : ""}`.trim()),
  ]);
  return markdown(["", "measured [quartiles]", "must", "aim"], [...rows, ...tails(kept)]);
}

/** The 99th percentiles: at fixed rates below every peer's, and beside resets at most twice that without. */
function tails(kept: (name: string) => Kept | null): readonly (readonly string[])[] {
  const latency = kept("latency");
  const resets = kept("resets");
  const p99 = (variant: VariantResult | undefined, load: string) =>
    quantile(
      (variant?.windows[load] ?? []).map((window) => window.p99),
      0.5,
    );
  const atRates = (latency?.loads ?? []).map((load) => {
    const ours = p99(latency?.variants.at(-1), load);
    const peers = Math.min(...(latency?.variants.slice(0, -1) ?? []).map((variant) => p99(variant, load)));
    return [
      `p99 at ${load}, ms`,
      `**${ours.toFixed(1)}**`,
      `${peers.toFixed(1)}, the best peer's ${ours < peers ? "✓" : ""}`.trim(),
      `2 ${ours <= 2 ? "✓" : ""}`.trim(),
    ];
  });
  const [none = "", ...with_] = resets?.loads ?? [];
  const besides = with_.map((load) => {
    const [ours, base] = [p99(resets?.variants.at(-1), load), p99(resets?.variants.at(-1), none)];
    return [
      `good calls' p99 beside ${load}, ms`,
      `**${ours.toFixed(1)}**`,
      `${(2 * base).toFixed(1)} ${ours <= 2 * base ? "✓" : ""}`.trim(),
      base.toFixed(1),
    ];
  });
  return [...atRates, ...besides];
}
