// What is wrong with a configuration, and where: the form in which each rule says it.

export interface Problem {
  /** The key in the file, as `servers.github.url`. */
  readonly key: string;
  readonly message: string;
}

export type Say = (key: string, message: string) => void;

export interface Says {
  readonly problem: Say;
  readonly warn: Say;
}
