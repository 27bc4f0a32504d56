/** What becomes of the matches of a pattern at which text is cut; in the words of tokenizer.json, in lower case. */
export type SplitBehavior = 'removed' | 'isolated' | 'mergedwithprevious' | 'mergedwithnext' | 'contiguous';

export const SPLIT_BEHAVIORS: readonly SplitBehavior[] = [
  'removed',
  'isolated',
  'mergedwithprevious',
  'mergedwithnext',
  'contiguous',
];

interface Span {
  start: number;
  end: number;
  readonly isMatch: boolean;
}

/** Cuts a text at the matches of `pattern` (global); with `invert`, what does not match counts as the match. */
export function splitAt(text: string, pattern: RegExp, behavior: SplitBehavior, invert: boolean): string[] {
  if (behavior === 'isolated') return isolate(text, pattern);
  const spans = findSpans(text, pattern, invert);
  return joinSpans(spans, behavior).map(({ start, end }) => text.slice(start, end));
}

/** The usual case, and the fast one: matches and what lies between them. */
function isolate(text: string, pattern: RegExp): string[] {
  const matches: string[] = text.match(pattern) ?? [];
  let total = 0;
  for (const match of matches) total += match.length;
  if (total === text.length) return matches.includes('') ? matches.filter((match) => match !== '') : matches;
  return findSpans(text, pattern, false).map(({ start, end }) => text.slice(start, end));
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
