import { renderTable } from '@frugal/report';
import type { Measured } from './evaluate.js';

/** The table of the run, and what must be known to read it rightly. */
export function printTable(results: Readonly<Record<string, Measured>>): void {
  const rows = Object.entries(results);
  const languages = Object.keys(rows[0][1].bitsPerByte);
  const columns = [
    { title: 'model' },
    { title: 'parameters', digits: 3 },
    { title: 'size', format: 'bytes' as const },
    ...languages.map((language) => ({ title: `bits/byte ${language}`, decimals: 3 })),
    { title: 'tokens/s', digits: 3 },
    { title: 'trained on', digits: 3, unit: 'tok' },
    { title: 'training', format: 'duration' as const },
  ];
  const cells = rows.map(([name, measured]) => [
    name,
    measured.parameters,
    measured.bytes,
    ...languages.map((language) => measured.bitsPerByte[language]),
    measured.tokensPerSecond,
    measured.trainingTokens || null,
    measured.trainingSeconds,
  ]);
  console.log(`\n${renderTable(columns, cells)}\n`);
  console.log('bits/byte: held-out text, lower is better. tokens/s: new tokens of one stream.');
  console.log(
    'The distilled student and the one alone saw the same tokens; the teacher had to be trained besides.',
  );
}
