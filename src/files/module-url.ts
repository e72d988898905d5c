// The file of one of our modules, for threads. Pure. A clone runs .ts; the npm package holds .js in the same folders (tsconfig.build.json).

const EXTENSION = import.meta.url.slice(import.meta.url.lastIndexOf("."));

/** @param source `new URL("name.ts", import.meta.url)`: the compiler rewrites `import "name.ts"` but no URL */
export function moduleUrl(source: URL): URL {
  return new URL(source.href.replace(/\.ts$/, EXTENSION));
}
