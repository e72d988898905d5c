// Reads the trace of `opa eval --explain=full` (openpolicyagent.org/docs/cli#eval) into how each rule of the author went. Pure.
import { z } from "zod";

/** One event of `opa eval --explain=full --format=json`. Values of variables are in there too; they are left unread. */
export const traceSchema = z.array(
  z.object({
    Op: z.string(),
    QueryID: z.number(),
    ParentID: z.number(),
    Location: z.object({ file: z.string(), row: z.number() }).nullable(),
    Node: z.unknown(),
  }),
);
export type Trace = z.output<typeof traceSchema>;
const ruleSchema = z.object({
  default: z.boolean().default(false),
  head: z.object({
    ref: z.array(z.object({ value: z.unknown() })),
    /** Where the head names one, a literal or not. */
    value: z.object({ value: z.unknown() }).optional(),
  }),
});
const expressionSchema = z.object({ index: z.number() });

/** One definition of a rule, and how it went. */
export interface RuleOutcome {
  readonly rule: string;
  readonly file: string;
  /** Where the definition begins. */
  readonly line: number;
  /** Its body holds. */
  readonly holds: boolean;
  /** The value of its head is `false`, so that the definition grants nothing. */
  readonly isFalse: boolean;
  /** A `default`, which counts where no other definition holds. */
  readonly isDefault: boolean;
  /** The furthest line that its body reached; what stands there did not hold. Null when the definition holds. */
  readonly stopsAt: number | null;
}

interface Frame {
  readonly parent: Frame | null;
  /** The expression of the parent during which this was entered. */
  readonly during: number;
  readonly rule: Pick<RuleOutcome, "rule" | "file" | "line" | "isFalse" | "isDefault"> | null;
  /** The last expression that was begun, the furthest one, and the furthest one's line. */
  current: number;
  furthest: number;
  line: number;
  exited: boolean;
}

const MAX_DEPTH = 5;
const MAX_RULES = 12;

/**
 * Which definitions of `allow` held, and how far the others came; then the same for the rules that they stopped at, and
 * which definitions of `required_scopes` held. Built-ins and rules outside of `folder` count as plain expressions.
 * @param folder the author's files, as "policy/"
 */
export function explainTrace(trace: Trace, folder: string): RuleOutcome[] {
  const frames = framesOf(trace);
  const children = Map.groupBy(
    frames.filter(({ rule }) => rule !== null),
    (frame) => asking(frame).rule,
  );
  const found = new Map<string, RuleOutcome>();
  const visit = (frame: Frame, depth: number) => {
    const outcome = outcomeOf(frame, folder);
    if (outcome === null) return;
    const key = `${outcome.file}:${outcome.line}`;
    const before = found.get(key);
    if (before === undefined ? found.size < MAX_RULES : better(outcome, before)) found.set(key, outcome);
    if (outcome.holds || depth === MAX_DEPTH) return;
    for (const child of children.get(frame) ?? []) {
      if (asking(child).during === frame.furthest) visit(child, depth + 1);
    }
  };
  for (const root of children.get(null) ?? []) {
    if (root.rule?.rule === "allow" || (root.rule?.rule === "required_scopes" && root.exited)) visit(root, 0);
  }
  return [...found.values()];
}

/** Of several times that one definition was tried, the one that came furthest tells most. */
function better(a: RuleOutcome, b: RuleOutcome): boolean {
  return !b.holds && (a.holds || (a.stopsAt ?? 0) > (b.stopsAt ?? 0));
}

function framesOf(trace: Trace): Frame[] {
  const frames = new Map<number, Frame>();
  for (const event of trace) {
    const frame = frames.get(event.QueryID);
    if (frame === undefined) {
      const parent = event.QueryID === event.ParentID ? undefined : frames.get(event.ParentID);
      if (event.Op === "Enter") frames.set(event.QueryID, entered(event, parent ?? null));
    } else if (event.Op === "Eval") evaluated(frame, event);
    else if (event.Op === "Exit") frame.exited = true;
  }
  return [...frames.values()];
}

function entered({ Node, Location }: Trace[number], parent: Frame | null): Frame {
  const { file = "", row: line = 0 } = Location ?? {};
  const parsed = ruleSchema.safeParse(Node).data;
  const rule = parsed === undefined ? null : { ...definitionOf(parsed), file, line };
  return { parent, during: parent?.current ?? 0, rule, current: 0, furthest: -1, line, exited: false };
}

function evaluated(frame: Frame, { Node, Location }: Trace[number]): void {
  const index = indexOf(Node);
  frame.current = index;
  if (index <= frame.furthest) return;
  frame.furthest = index;
  frame.line = Location?.row ?? frame.line;
}

function outcomeOf({ rule, exited, line }: Frame, folder: string): RuleOutcome | null {
  if (rule === null || !rule.file.startsWith(folder)) return null;
  const file = rule.file.slice(folder.length);
  // A default that is false is what opa says anyway: it decides nothing.
  if (rule.isDefault && rule.isFalse) return null;
  return { ...rule, file, holds: exited, stopsAt: exited ? null : line };
}

/** The rule that asked for this one, and during which of its expressions; comprehensions and `not` stand in between. */
function asking(frame: Frame): { rule: Frame | null; during: number } {
  let at = frame;
  while (at.parent !== null && at.parent.rule === null) at = at.parent;
  return { rule: at.parent, during: at.during };
}

function definitionOf({ head, ...node }: z.output<typeof ruleSchema>) {
  const rule = head.ref.map(({ value }) => String(value)).join(".");
  return { rule, isFalse: head.value?.value === false, isDefault: node.default };
}

function indexOf(node: unknown): number {
  const parsed = expressionSchema.safeParse(node);
  return parsed.success ? parsed.data.index : 0;
}
