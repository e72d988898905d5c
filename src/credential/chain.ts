import { pass, refuse, type Step } from "../authz/step.ts";
import type { Credential, CredentialKind, Identity } from "../authz/types.ts";
import type { Answer, CredentialSource } from "./source.ts";

type Chain = readonly CredentialSource[];
type Asked = Step<Credential> | Promise<Step<Credential>>;

/**
 * Asks the kinds of a server in order, for every server of the configuration.
 * @param help per server: how a caller gets a credential. Said where the caller has none, never where that cannot be told.
 */
export function createCredentials(chains: ReadonlyMap<string, Chain>, help: ReadonlyMap<string, string> = new Map()) {
  return (server: string, identity: Identity, signal: AbortSignal): Asked => {
    const asked = ask(chains.get(server) ?? [], 0, (source) => source.get(identity, signal));
    const text = help.get(server);
    if (text === undefined) return asked;
    const helped = (step: Step<Credential>) =>
      !step.ok && step.reason === "credential_missing" ? { ...step, help: text } : step;
    return asked instanceof Promise ? asked.then(helped) : helped(asked);
  };
}

/** Answers that are at hand make a step that is at hand: a cached credential costs no promise. */
function ask(chain: Chain, at: number, question: (source: CredentialSource) => Answer | Promise<Answer>): Asked {
  const source = chain[at];
  if (source === undefined) return refuse("credential_missing", "the chain has ended");
  const next = (answer: Answer) => stepOf(source.kind, answer) ?? ask(chain, at + 1, question);
  const answer = question(source);
  return answer instanceof Promise ? answer.then(next) : next(answer);
}

/** How the chain ends with this answer, or null when the next kind is to be asked. */
function stepOf(kind: CredentialKind, answer: Answer): Step<Credential> | null {
  if ("found" in answer) return pass(answer.found);
  if ("cannotTell" in answer) return refuse("credential_unavailable", `${kind}: ${answer.cannotTell}`);
  if ("refused" in answer) return refuse("credential_missing", `${kind}: ${answer.refused}`);
  // Only *has none* is left: another sort of answer must not compile before it has its own line here.
  answer satisfies { readonly hasNone: string };
  return null;
}
