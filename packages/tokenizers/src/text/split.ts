/** What becomes of the matches of a pattern at which text is cut; in the words of tokenizer.json, in lower case. */
export type SplitBehavior = 'removed' | 'isolated' | 'mergedwithprevious' | 'mergedwithnext' | 'contiguous';

export const SPLIT_BEHAVIORS: readonly SplitBehavior[] = [
  'removed',
  'isolated',
  'mergedwithprevious',
  'mergedwithnext',
  'contiguous',
];

/** Takes the pieces of a text in order; none is empty. */
export type Visit = (piece: string) => void;

interface Span {
  start: number;
  end: number;
  readonly isMatch: boolean;
}

/**
 * Makes a function that cuts a text at the matches of `pattern` (global, Unicode); with `invert`, what does not match
 * counts as the match.
 */
export function createSplit(
  pattern: RegExp,
  behavior: SplitBehavior,
  invert = false,
): (text: string, visit: Visit) => void {
  if (behavior === 'isolated') return createIsolate(pattern);
  return (text, visit) => {
    for (const { start, end } of joinSpans(findSpans(text, pattern, invert), behavior))
      visit(text.slice(start, end));
  };
}

/**
 * Matches and what lies between them: the usual case. Word patterns match everywhere, so a sticky test that makes no
 * match objects does nearly all of it, twice as fast as `String.match`.
 */
export function createIsolate(pattern: RegExp): (text: string, visit: Visit) => void {
  const sticky = new RegExp(pattern.source, pattern.flags.replace('g', 'y'));
  return (text, visit) => {
    let at = 0;
    while (at < text.length) {
      sticky.lastIndex = at;
      const end =
        sticky.test(text) && sticky.lastIndex > at ? sticky.lastIndex : startOfNext(text, pattern, at);
      visit(text.slice(at, end));
      at = end;
    }
  };
}

/** Where the next match that is not empty begins, after `from`. */
function startOfNext(text: string, pattern: RegExp, from: number): number {
  pattern.lastIndex = from;
  for (;;) {
    const match = pattern.exec(text);
    if (!match) return text.length;
    if (match[0] !== '') return match.index;
    pattern.lastIndex = match.index + (text.codePointAt(match.index)! > 0xffff ? 2 : 1);
  }
}

function findSpans(text: string, pattern: RegExp, invert: boolean): Span[] {
  const spans: Span[] = [];
  let done = 0;
  for (const match of text.matchAll(pattern)) {
    if (match[0] === '') continue;
    if (match.index > done) spans.push({ start: done, end: match.index, isMatch: invert });
    done = match.index + match[0].length;
    spans.push({ start: match.index, end: done, isMatch: !invert });
  }
  if (done < text.length) spans.push({ start: done, end: text.length, isMatch: invert });
  return spans;
}

function joinSpans(spans: Span[], behavior: SplitBehavior): Span[] {
  if (behavior === 'removed') return spans.filter(({ isMatch }) => !isMatch);
  if (behavior === 'mergedwithnext') return mergeWithNext(spans);
  const joined: Span[] = [];
  let afterMatch = false;
  for (const span of spans) {
    const last = joined.at(-1);
    const joins = behavior === 'contiguous' ? span.isMatch === afterMatch : span.isMatch && !afterMatch;
    if (last && joins) last.end = span.end;
    else joined.push(span);
    afterMatch = span.isMatch;
  }
  return joined;
}

function mergeWithNext(spans: Span[]): Span[] {
  const joined: Span[] = [];
  let beforeMatch = false;
  for (const span of spans.reverse()) {
    const next = joined.at(-1);
    if (next && span.isMatch && !beforeMatch) next.start = span.start;
    else joined.push(span);
    beforeMatch = span.isMatch;
  }
  return joined.reverse();
}
