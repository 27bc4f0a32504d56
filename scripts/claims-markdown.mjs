/** Tables of results as Markdown, from the files in benchmarks/results. */

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
  const machines = [...new Set(results.map((result) => result.machine ?? machine))].map((each) => {
    const parts = results.filter((result) => (result.machine ?? machine) === each).map(({ part }) => part);
    return `${each} (${parts.join(', ')})`;
  });
  return `${[...head, ...rows].join('\n')}\n\nMeasured on: ${machines.join('; ')}. Intervals: 95 %, or the range of the repeats.\n`;
}

const PEERS = [
  ['infer', 'prefill 512, best instructions', 'SmolLM2-135M Q4_1, prompt of 512 tokens', 'tokens/s'],
  ['infer', 'decode 128 after 512, best instructions', 'the same, new tokens of one stream', 'tokens/s'],
  ['train', 'training step 6.8 M f32, 2 threads', 'training step of 6.8 M parameters, f32', 'tokens/s'],
  ['train', 'training step 6.8 M bf16, 2 threads', 'the same in bf16', 'tokens/s'],
  ['train', 'training step 6.8 M bf16, 2 threads, peak memory of the process', 'its peak memory', 'MiB'],
];

/** Processors whose results are kept, and how the names of their files end. */
const PROCESSORS = { 'Zen 5': 'zen5', 'Zen 4': 'zen4' };

/** Ours beside the best peer, by bench and processor; `resultOf` gives the contents of a result file by its name. */
export function peersMarkdown(resultOf) {
  const machines = new Set();
  const lines = PEERS.flatMap(([bench, name, label, unit]) =>
    Object.entries(PROCESSORS).map(([processor, ending], i) => {
      const { rows, machine } = resultOf(`${bench}-${ending}`);
      machines.add(machine.replace(/ \(.*?\)/, ''));
      const all = rows.filter((row) => row.name === name);
      const best = all.sort((a, b) => (unit === 'MiB' ? a.theirs - b.theirs : b.theirs - a.theirs))[0];
      const [ours, theirs] = [best.ours, best.theirs].map((value) =>
        Math.round(value).toLocaleString('en-US'),
      );
      const cells = [i === 0 ? label : '', processor, `${ours} ${unit}`, `${theirs} ${unit} (${best.peer})`];
      return `| ${[...cells, best.ratio.toFixed(2)].join(' | ')} | \`bench -- ${bench}\` |`;
    }),
  );
  const head = ['| | | Frugal | best peer | ratio | |', '|---|---|---|---|---|---|'];
  return `${[...head, ...lines].join('\n')}\n\nMeasured on: ${[...machines].join('; ')}.\n`;
}

/** What `npm run bench -- plan --json FILE` wrote: one line per model and format. */
export function predictionsMarkdown({ machine, rows }) {
  const lines = [...new Set(rows.map(({ name }) => name.split(': ')[0]))].map((label) => {
    const cells = ['weights', 'new tokens', 'prompt'].map((what) => {
      const { ours, theirs, ratio, unit } = rows.find(({ name }) => name === `${label}: ${what}`);
      const [measured, predicted] = [ours, theirs].map((value) => Math.round(value).toLocaleString('en-US'));
      return `${measured} for ${predicted} ${unit} (${ratio.toFixed(2)})`;
    });
    return `| ${label} | ${cells.join(' | ')} |`;
  });
  const head = ['| measured for predicted (ratio) | weights | new tokens | prompt |', '|---|---|---|---|'];
  return `${[...head, ...lines].join('\n')}\n\nMeasured on: ${machine}; one stream, prompts of 256 tokens.\n`;
}

/** Puts a text between `<!-- NAME -->` and `<!-- /NAME -->`. */
export function replaceBetween(page, name, text) {
  const [start, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [from, to] = [page.indexOf(start), page.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`[readme-claims] no place for ${name}: expected ${start} … ${end}.`);
  return `${page.slice(0, from + start.length)}\n\n${text}\n${page.slice(to)}`;
}
