// The state that health checks report, and who watches it. Pure; the same for both wire stacks.

export interface HealthWatcher {
  readonly onState: (serving: boolean) => void;
  /** The listener drains: the stream ends, and is not what a drain waits for. */
  readonly onEnd: () => void;
}

export class Health {
  #isServing = true;
  #isEnding = false;
  readonly #watchers = new Set<HealthWatcher>();

  get serving(): boolean {
    return this.#isServing;
  }

  /** Each watcher is told of a change, once. */
  set serving(serving: boolean) {
    if (serving === this.#isServing) return;
    this.#isServing = serving;
    for (const { onState } of this.#watchers) onState(serving);
  }

  /** Tells the state, now and after each change. @returns what ends it */
  watch(watcher: HealthWatcher): () => void {
    this.#watchers.add(watcher);
    watcher.onState(this.#isServing);
    if (this.#isEnding) this.#end(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  /** Not serving from now on, and nobody is told more. */
  end(): void {
    this.serving = false;
    this.#isEnding = true;
    for (const watcher of this.#watchers) this.#end(watcher);
  }

  #end(watcher: HealthWatcher): void {
    this.#watchers.delete(watcher);
    watcher.onEnd();
  }
}
