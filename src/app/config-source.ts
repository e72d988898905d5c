// The configuration of a running process: how it is read again, which files it is made of, and what happens when they change. I/O:
// files.
import { loadConfig, type Config } from "../config/load.ts";
import { rereadFiles } from "../config/files.ts";
import { createFileWatch, stateOfFiles } from "../ops/file-watch.ts";
import type { Agree, ReloadCause, Reloader } from "../ops/reload.ts";

export interface ConfigSource {
  /** @throws {Error} that names every problem */
  read(): Config;
  /** The file and those that it names, of the last reading that was good and of one that was not: what is missing may come. */
  files(): readonly string[];
  /** The state of the files after the first reading that was good. */
  seen(): Promise<string>;
}

export function createConfigSource(path: string, env: Parameters<typeof loadConfig>[1]): ConfigSource {
  let good: readonly string[] = [];
  let tried: readonly string[] = [path];
  let seen: Promise<string> | null = null;
  const files = () => [path, ...good, ...tried];
  return {
    read() {
      const secrets: string[] = [];
      tried = secrets;
      const { config } = loadConfig(path, env, (file) => secrets.push(file));
      good = [path, ...secrets, ...rereadFiles(config)];
      tried = [];
      seen ??= stateOfFiles(files());
      return config;
    },
    files,
    seen: () => seen ?? stateOfFiles(files()),
  };
}

export interface ConfigWatch extends Pick<Reloader, "state"> {
  /** SIGHUP, and a change of the files that another worker saw. */
  reload(cause?: ReloadCause, agree?: Agree): Promise<void>;
  watch(everyMs: number): void;
  close(): void;
}

/**
 * @param source null where files are not watched
 * @param onChange what follows a change of them; null to read them again
 */
export function createConfigWatch(
  { reload, state }: Reloader,
  source: Pick<ConfigSource, "files" | "seen"> | null,
  onChange: (() => Promise<void>) | null = null,
): ConfigWatch {
  if (source === null)
    return { state, reload: (cause = "signal", agree) => reload(cause, agree), watch: () => {}, close: () => {} };
  const watch = createFileWatch({
    files: source.files,
    known: source.seen(),
    onChange: onChange ?? (() => reload("files")),
  });
  return {
    ...watch,
    state,
    async reload(cause = "signal", agree) {
      if (cause === "signal") await watch.settle();
      await reload(cause, agree);
    },
  };
}
