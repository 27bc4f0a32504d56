const segmenter = new Intl.Segmenter();

/** Characters that take two cells of a terminal. Scripts instead of tables: they follow the engine's Unicode version. */
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\p{Script=Yi}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6\ufe30-\ufe4f]|\ufe0f/u;
const HALF_WIDE = /^[\uff61-\uffdc]/;
const INVISIBLE = /^[\p{M}\p{Cf}\p{Cc}]*$/u;

/** Cells that a text takes in a terminal: Chinese, Japanese and Korean characters and emoji take two. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const { segment } of segmenter.segment(text)) {
    if (INVISIBLE.test(segment)) continue;
    width += WIDE.test(segment) && !HALF_WIDE.test(segment) ? 2 : 1;
  }
  return width;
}

/** Cuts a text to at most `width` cells; a cut text ends in `…`. */
export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = '';
  let used = 0;
  for (const { segment } of segmenter.segment(text)) {
    const next = displayWidth(segment);
    if (used + next > width - 1) break;
    kept += segment;
    used += next;
  }
  return `${kept}…`;
}

/** One line without control characters, so that data cannot steer a terminal or break a table. */
export function singleLine(text: string): string {
  return text.toWellFormed().replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, ' ');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text that is safe inside elements and quoted attributes of HTML and SVG, and valid XML. */
export function escapeMarkup(text: string): string {
  return singleLine(text)
    .replace(/[\ufffe\uffff]/g, '\ufffd')
    .replace(/[&<>"']/g, (character) => ENTITIES[character]);
}
