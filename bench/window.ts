// One window: the generator's figures, with the CPU of the service, and what else ran on the cores. A window that was disturbed is
// repeated. I/O.
import { generate, type Found, type Load } from "./load.ts";
import { coreTimes, cpuSeconds, type Cores } from "./machine.ts";
import type { Service } from "./service.ts";

export interface Window extends Found {
  /** Microseconds of the service's CPU for one answer. */
  readonly cpuMicros: number;
  /** Cores that the service used, of the one it has. */
  readonly server: number;
  /** Cores that the generator used. */
  readonly client: number;
  /** Cores that others used of ours, or that the host took away. */
  readonly foreign: number;
  /** How often it was repeated. */
  readonly repeats: number;
}

/** Above this share of a core the window is repeated. */
export const MAX_FOREIGN = 0.15;

/** @returns the least disturbed of the first attempt and, while one was disturbed, of at most so many more */
export async function measure(
  service: Service,
  load: Load,
  { cores, repeats: most }: { readonly cores: Cores; readonly repeats: number },
): Promise<Window> {
  let best = await once(service, load, cores);
  for (let repeats = 1; best.foreign > MAX_FOREIGN && repeats <= most; repeats += 1) {
    const again = await once(service, load, cores);
    best = { ...(again.foreign < best.foreign ? again : best), repeats };
  }
  return best;
}

async function once(service: Service, load: Load, cores: Cores): Promise<Window> {
  const meter = new Meter(service.pid, cores);
  const found = await generate(service, load, meter);
  const used = meter.used();
  return {
    ...found,
    ...used,
    cpuMicros: (used.seconds / Math.max(1, found.answered + found.denied)) * 1e6,
    repeats: 0,
  };
}

/** CPU between two marks. */
class Meter {
  readonly #pid: number;
  readonly #cores: Cores;
  #from = 0;
  #to = 0;
  #before = { server: 0, client: 0, all: 0, cores: coreTimes() };
  #after = this.#before;

  constructor(pid: number, cores: Cores) {
    this.#pid = pid;
    this.#cores = cores;
  }

  readonly start = (): void => {
    this.#before = this.#now();
    this.#from = performance.now();
  };

  readonly end = (): void => {
    this.#to = performance.now();
    this.#after = this.#now();
  };

  used(): { readonly seconds: number; readonly server: number; readonly client: number; readonly foreign: number } {
    const seconds = (this.#to - this.#from) / 1000;
    const [before, after] = [this.#before, this.#after];
    const [server, client] = [after.server - before.server, after.client - before.client];
    const ours = this.#cores;
    const watched = "why" in ours ? after.cores.busy.map((_, i) => i) : [ours.server, ours.client];
    const busy = watched.reduce((sum, i) => sum + (after.cores.busy[i] ?? 0) - (before.cores.busy[i] ?? 0), 0);
    // Ours are also the helpers beside the generator.
    const foreign = Math.max(0, busy - (after.all - before.all)) + after.cores.stolen - before.cores.stolen;
    return { seconds: server, server: server / seconds, client: client / seconds, foreign: foreign / seconds };
  }

  #now() {
    const { user, system } = process.cpuUsage();
    return {
      server: cpuSeconds(this.#pid),
      client: (user + system) / 1e6,
      all: cpuSeconds(process.pid),
      cores: coreTimes(),
    };
  }
}
