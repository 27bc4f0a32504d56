/** The table of claims as Markdown, from what `npm run bench -- claims --json FILE` wrote. */

/** `+1.3`, `−62`, `486`: with a sign where it is a change. */
function number(value, unit) {
  const digits = Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0;
  const text = Math.abs(value).toLocaleString('en-US', { maximumFractionDigits: digits });
  const sign = value < 0 ? '−' : unit === '%' ? '+' : '';
  return `${sign}${text}`;
}

function measured({ value, unit, interval }) {
  const range = interval ? ` (${interval.map((end) => number(end, unit)).join(' to ')})` : '';
  return `${number(value, unit)} ${unit}${range}`;
}

/** Claim, what was measured, promise, value, verdict; notes and commands are in the JSON file. */
export function claimsMarkdown({ machine, results }) {
  const claims = results.flatMap((result) => result.claims);
  const rows = claims.map((claim, i) => {
    const isFirst = claim.claim !== claims[i - 1]?.claim;
    const cells = [
      isFirst ? `**${claim.claim}**` : '',
      claim.measure,
      claim.promised,
      measured(claim),
      claim.verdict,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const head = ['| claim | measured | promised | value | |', '|---|---|---|---|---|'];
  return `${[...head, ...rows].join('\n')}\n\nMeasured on: ${machine}. Intervals: 95 %, or the range of the repeats.\n`;
}

/** Puts a text between `<!-- NAME -->` and `<!-- /NAME -->`. */
export function replaceBetween(page, name, text) {
  const [start, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [from, to] = [page.indexOf(start), page.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`[readme-claims] no place for ${name}: expected ${start} … ${end}.`);
  return `${page.slice(0, from + start.length)}\n\n${text}\n${page.slice(to)}`;
}
