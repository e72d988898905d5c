// Why a file cannot be read, in words for an operator. Pure.

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: "create it, or correct the path",
  ENOTDIR: "a part of the path is no folder; correct the path",
  EACCES: "let this user read it, and every folder above it",
  EPERM: "let this user read it",
  EISDIR: "it is a folder; name a file",
  ELOOP: "its symbolic links lead in a circle; correct them",
  ENAMETOOLONG: "give it a shorter name",
};

/** The code of a system error, such as ENOENT, or `otherwise` for any other error. Holds no path and no content. */
export function errorCode(error: unknown, otherwise = "unreadable"): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : otherwise;
}

/** Describes why a file that the configuration names cannot be read, and the remedy: the rest of a sentence after its path. */
export function unreadable(error: unknown): string {
  const code = errorCode(error);
  const remedy = REMEDIES[code];
  return `cannot be read (${code})${remedy === undefined ? "" : `: ${remedy}`}`;
}
