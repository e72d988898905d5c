// What is wrong with a configuration, and where: the form in which each rule reports it. Pure.

export interface Problem {
  /** The key in the file, as `servers.github.url`. */
  readonly key: string;
  readonly message: string;
}

export type Report = (key: string, message: string) => void;

/** Collects what the rules find: a problem refuses the configuration, a warning does not. */
export interface Reporter {
  readonly problem: Report;
  readonly warn: Report;
}
