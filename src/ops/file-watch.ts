// Notices that files have changed: by their names, so also when a symbolic link on the way leads elsewhere (as kubelet swaps a
// mounted ConfigMap or Secret), when one is renamed into place, and when one goes and comes back. I/O: it looks at them, and reads none.
import { stat } from "node:fs/promises";
import { createPoller, type Poller } from "../async/poll.ts";
import { errorCode } from "../files/read-error.ts";

export interface FileWatchOptions {
  /** Absolute paths; asked each time. */
  readonly files: () => Iterable<string>;
  /** {@link stateOfFiles} when the owner read them; without it the first look counts as a change. */
  readonly known?: Promise<string>;
  /** Something has changed, and has stayed the same since: nobody is writing any more. Does not reject. */
  readonly onChange: () => Promise<void>;
}

export interface FileWatch extends Pick<Poller, "watch" | "close" | "poll"> {
  /** What is there now is known: whoever calls this reads it. */
  settle(): Promise<void>;
}

export function createFileWatch({ files, onChange, ...before }: FileWatchOptions): FileWatch {
  let known: string | null = null;
  void before.known?.then((state) => (known ??= state));
  let pending: string | null = null;
  const poller = createPoller(async () => {
    const seen = await stateOfFiles(files());
    const isStill = seen === pending;
    pending = seen;
    if (seen === known || !isStill) return;
    known = seen;
    await onChange();
  });
  return {
    ...poller,
    async settle() {
      known = pending = await stateOfFiles(files());
    },
  };
}

/** A text that is another one as soon as one of the files is. */
export async function stateOfFiles(files: Iterable<string>): Promise<string> {
  const seen = [...new Set(files)].map(async (file) => {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
      return [file, dev, ino, size, mtimeNs, ctimeNs].join(" ");
    } catch (error) {
      return `${file} ${errorCode(error)}`;
    }
  });
  return (await Promise.all(seen)).join("\n");
}
