// A table inside a page that is made from the code: it stands between two comments with its name.

/** The page with this table in its place. @throws {Error} when the page has no place for it */
export function withTable(page: string, name: string, table: string): string {
  const [begin, end] = [`<!-- ${name}: begin -->\n`, `\n<!-- ${name}: end -->`];
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from === -1 || to < from) throw new Error(`the page has no place for the table ${name}`);
  return page.slice(0, from + begin.length) + table + page.slice(to);
}
