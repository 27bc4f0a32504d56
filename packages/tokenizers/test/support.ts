import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createTokenizer, type Tokenizer } from '../src/index.js';

const fixtures = new URL('./fixtures/', import.meta.url);

export const fixtureText = (name: string): string => readFileSync(new URL(name, fixtures), 'utf8');

/** A JSON fixture made by oracles/tokenizers. */
export const fixture = <T>(name: string): T => JSON.parse(fixtureText(name));

export const fixtureTokenizer = (name: string): Tokenizer =>
  createTokenizer({ tokenizerJson: fixtureText(`${name}.tokenizer.json`) });

/** A folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'frugal-tokenizers-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Random numbers that are the same in every run (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const PIECES = [
  ...`abcXYZ .,!?'"-_()<>/\\|:;#\t\n\r0123456789`,
  '\r\n',
  '   ',
  '\u0000',
  '\u00a0',
  '\u3000',
  '\ufeff',
  '\ufffd',
  'é',
  'e\u0301',
  'ſ',
  '天下',
  '，',
  '한',
  'あ',
  '🙂',
  '👩‍👩‍👧',
  '\ud800',
  '\udc00',
  '▁',
  'Ġ',
  '<0x41>',
  "'ll",
  ' the',
  'nation',
  '<|endoftext|>',
  '<|im_start|>',
  '<tool>',
  '<s>',
];

/** Texts of letters, white space, controls, emoji, halves of surrogate pairs and special tokens. */
export function randomText(random: () => number, pieces: number): string {
  let text = '';
  for (let i = 0; i < pieces; i++) text += PIECES[Math.floor(random() * PIECES.length)];
  return text;
}
