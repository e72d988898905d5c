import { expect, it } from "vitest";
import { createLog } from "../../ops/log.ts";
import { createReloader, type ReloadCause } from "../../ops/reload.ts";
import { createBallots } from "../../ops/supervisor/ballot.ts";
import { createConfigWatch } from "../config-source.ts";
import { createInOrder, createVoter } from "./worker.ts";

/** Workers as `serve` has them; the first one alone looks at files. */
function workers() {
  const told: string[] = [];
  const ballots = createBallots((members, verdict) => members.forEach((index) => voters[index]?.verdict(verdict)));
  const voters = [0, 1].map((index) =>
    createVoter((message) => message.type === "vote" && ballots.vote(index, message)),
  );
  const reloads = voters.map((voter, index) => {
    const reloader = createReloader<string>({
      ...{ log: createLog(() => {}, "error", Date.now), read: () => "text", waiting: () => [], onReload: () => {} },
      parts: ({ cause }) => ({
        servers: () => ({ putInForce: () => void told.push(`${index} ${cause}`), drop: () => {}, content: "text" }),
      }),
    });
    const watch = createConfigWatch(
      reloader,
      index === 0 ? { files: () => [], seen: () => Promise.resolve("") } : null,
    );
    return createInOrder((cause: ReloadCause, round: number) => watch.reload(cause, voter.agree(round)));
  });
  const begin = (cause: ReloadCause) => {
    const round = ballots.begin([0, 1]);
    return reloads.map((reload) => reload(cause, round));
  };
  return { told, begin };
}

it.each([[["signal", "files"]], [["files", "signal", "files"]]] as [ReloadCause[]][])(
  "reloads that cross (%j) end at all workers, each in its order: the first looks at its files before one by signal",
  async (causes) => {
    const { told, begin } = workers();
    await Promise.all(causes.flatMap(begin));
    for (const index of [0, 1])
      expect(told.filter((one) => one.startsWith(`${index} `))).toEqual(causes.map((cause) => `${index} ${cause}`));
  },
);
