// Several workers take a part of a reload together, or none does: each says whether it could, and all hear one verdict. Pure.
import type { Vote } from "./messages.ts";

/** Where a verdict goes. */
export interface Verdict {
  readonly round: number;
  readonly part: string;
  readonly isAgreed: boolean;
}

export interface Ballots {
  /** Begins a round of these workers. @returns its number */
  begin(members: readonly number[]): number;
  /** @param by the worker's index */
  vote(by: number, vote: Vote): void;
  /** A worker has ended: what it has not voted on is not taken, since another one in its place reads anew. */
  left(index: number): void;
}

interface Round {
  readonly members: ReadonlySet<number>;
  readonly parts: Map<string, Map<number, Vote>>;
  hasLost: boolean;
}

function newRound(members: readonly number[]): Round {
  return { members: new Set(members), parts: new Map(), hasLost: false };
}

/** What a worker has not said by then is a no: it hangs, and the others want to read on. */
const TIMEOUT_MS = 60_000;
/** Rounds that are remembered: a worker takes one after the other, and the last ones may be waiting. */
const MAX_ROUNDS = 16;

/** @param tell sends a verdict to these workers */
export function createBallots(tell: (members: readonly number[], verdict: Verdict) => void): Ballots {
  const rounds = new Map<number, Round>();
  let last = 0;

  function judge(number: number, part: string): void {
    const round = rounds.get(number);
    const votes = round?.parts.get(part);
    if (round === undefined || votes === undefined) return;
    const waiting = [...round.members].filter((index) => !votes.has(index));
    if (waiting.length > 0 && !round.hasLost) return;
    const cast = [...votes.values()];
    const isAgreed = !round.hasLost && cast.every(({ isReady, content }) => isReady && content === cast[0]?.content);
    tell([...votes.keys()], { round: number, part, isAgreed });
    votes.clear();
  }

  function lose(number: number, round: Round): void {
    round.hasLost = true;
    for (const part of round.parts.keys()) judge(number, part);
  }

  /** Whoever waits in it hears a no: a worker that heard nothing would read nothing any more. */
  function forget(number: number, round: Round): void {
    lose(number, round);
    rounds.delete(number);
  }

  return {
    begin(members) {
      last += 1;
      const [number, round] = [last, newRound(members)];
      rounds.set(number, round);
      setTimeout(() => lose(number, round), TIMEOUT_MS).unref();
      for (const [old, pushedOut] of rounds) if (old <= last - MAX_ROUNDS) forget(old, pushedOut);
      return last;
    },
    vote(by, vote) {
      const round = rounds.get(vote.round);
      if (round === undefined || !round.members.has(by)) {
        tell([by], { round: vote.round, part: vote.part, isAgreed: false });
        return;
      }
      const votes = round.parts.get(vote.part) ?? new Map<number, Vote>();
      round.parts.set(vote.part, votes.set(by, vote));
      judge(vote.round, vote.part);
    },
    left(index) {
      for (const [number, round] of rounds) {
        if (round.members.has(index)) lose(number, round);
      }
    },
  };
}
