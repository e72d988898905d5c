// A page with blocks that are made: `<!-- figures: NAME -->` to `<!-- figures: end -->`. Pure.

/** The page with the block of this name renewed. @throws {Error} if the page has none */
export function withBlock(page: string, name: string, text: string): string {
  const block = new RegExp(`(<!-- figures: ${name} -->\n)[^]*?(<!-- figures: end -->)`);
  if (!block.test(page)) throw new Error(`the page has no block ${name}`);
  return page.replace(block, (_, before: string, after: string) => `${before}${text}\n${after}`);
}
