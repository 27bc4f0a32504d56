import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadCorpus } from '@frugal/example-pretrain-distill-deploy/corpus';
import { type Tokenizer, trainByteLevelBpe } from '@frugal/tokenizers';
import { Peer } from '../shared/peer.js';
import { type Row, report } from '../shared/result.js';

/**
 * Speed of training a byte-level BPE tokenizer and of encoding, on one core, beside Hugging Face's tokenizers (Rust), in
 * turns, on the corpus of the example (10.8 MB English, 1.8 MB Chinese): `npm run bench -- tokenizers`.
 */
const TURNS = 5;

const folder = mkdtempSync(join(tmpdir(), 'frugal-bench-'));

const kilobytes = (texts: readonly string[]): number =>
  texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) / 1e3;

/** The pattern of the words, from the tokenizer itself: both sides cut alike. */
function patternOf(tokenizer: Tokenizer): unknown {
  const { pretokenizers } = tokenizer.toJSON().pre_tokenizer as {
    pretokenizers: [{ pattern: { Regex: string } }];
  };
  return pretokenizers[0].pattern.Regex;
}

/** Takes turns: `once` is ours and returns a number of tokens, the peer gets `input` and must come to the same. */
async function compare(
  name: string,
  texts: readonly string[],
  once: () => number,
  input: object,
): Promise<Row> {
  const file = join(folder, 'input.json');
  writeFileSync(file, JSON.stringify({ texts, ...input }));
  const peer = await Peer.start('hf_tokenizers.py', [file], 'tokenizers');
  if (typeof peer === 'string') console.error(`Hugging Face's tokenizers are left out: ${peer}`);
  const row = { name, peer: 'tokenizers (Rust)', unit: 'kB/s', ours: [] as number[], theirs: [] as number[] };
  const size = kilobytes(texts);
  once();
  for (let turn = 0; turn < TURNS; turn++) {
    const start = performance.now();
    const count = once();
    row.ours.push((size * 1000) / (performance.now() - start));
    if (typeof peer === 'string') continue;
    const { seconds, tokens } = await peer.run(1);
    row.theirs.push(size / seconds);
    if (tokens !== count)
      throw new Error(`[${name}] the results differ: got ${count} tokens; expected ${tokens}.`);
  }
  if (typeof peer !== 'string') peer.quit();
  return row;
}

async function main(): Promise<void> {
  const documents = await loadCorpus();
  const texts = documents.map(({ text }) => text);
  const ofLanguage = (label: string) =>
    documents.filter((document) => document.label === label).map(({ text }) => text);
  const rows: Row[] = [];
  for (const vocabularySize of [4096, 32000]) {
    const tokenizer = trainByteLevelBpe(texts, { vocabularySize });
    const train = () => trainByteLevelBpe(texts, { vocabularySize }).vocabularySize;
    rows.push(
      await compare(`train ${vocabularySize}`, texts, train, {
        pattern: patternOf(tokenizer),
        vocabularySize,
      }),
    );
    const file = join(folder, 'tokenizer.json');
    writeFileSync(file, tokenizer.files()['tokenizer.json']);
    for (const label of ['English', 'Chinese']) {
      const some = ofLanguage(label);
      const encode = () =>
        some.reduce((sum, text) => sum + tokenizer.encode(text, { addSpecialTokens: false }).length, 0);
      rows.push(await compare(`encode ${label} with ${vocabularySize}`, some, encode, { tokenizer: file }));
    }
  }
  report(rows);
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true });
}
