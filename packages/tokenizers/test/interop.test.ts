import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import {
  chatTemplate,
  saveTokenizer,
  type Tokenizer,
  tokenizerFromGguf,
  trainByteLevelBpe,
} from '../src/index.js';
import { fixture, fixtureTokenizer, temporaryFolder } from './support.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** A Python that has transformers: named by FRUGAL_PYTHON, kept in .cache, or the one on PATH. */
function findPython(): string | undefined {
  const kept = ['.cache/oracles-venv/bin/python'].map((path) => join(root, path));
  const candidates = [process.env.FRUGAL_PYTHON, ...kept.filter(existsSync), 'python3'];
  return candidates.find((python) => python && spawnSync(python, ['-c', 'import transformers']).status === 0);
}

const python = findPython();
const texts = fixture<string[]>('texts.json');
const messages = [
  { role: 'user', content: '天下 one' },
  { role: 'user', content: 'two' },
];

const trained = (pretokenizer: 'gpt2' | 'llama3' | 'qwen2') =>
  trainByteLevelBpe(fixture<string[]>('corpus.json'), { vocabularySize: 500, pretokenizer });
const sentencepiece = () => {
  const { metadata } = fixture<{ metadata: Record<string, unknown> }>('sentencepiece.json');
  return tokenizerFromGguf({
    ...metadata,
    'tokenizer.chat_template': '{{ bos_token }}{{ messages[0].content }}',
  });
};

// `context.skip` is not at hand in `it.each`: without Python one test says why the others are missing.
it.runIf(python === undefined)('transformers opens tokenizers of ours', (context) => {
  context.skip('no Python with transformers');
});

it.runIf(python !== undefined).each<[string, () => Tokenizer]>([
  ['trained, gpt2', () => trained('gpt2')],
  ['trained, llama3', () => trained('llama3')],
  ['trained, qwen2', () => trained('qwen2')],
  ['from GGUF', sentencepiece],
  ['saved again', () => fixtureTokenizer('llama2')],
])('transformers opens a tokenizer of ours: %s', { timeout: 120_000 }, async (_, make) => {
  const directory = await temporaryFolder();
  const tokenizer = make();
  await saveTokenizer(tokenizer, directory);
  const input = join(directory, 'input.json');
  await writeFile(
    input,
    JSON.stringify({ texts, messages: tokenizer.chatTemplates.default ? messages : null }),
  );
  const script = join(root, 'oracles/tokenizers/open_tokenizer.py');
  const { stdout, stderr, status } = spawnSync(python as string, [script, directory, input], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  const theirs = JSON.parse(stdout) as {
    ids: number[][];
    decoded: string[];
    chat: string | null;
    bos: number | null;
  };
  expect(texts.map((text) => [...tokenizer.encode(text)])).toEqual(theirs.ids);
  expect(theirs.ids.map((ids) => tokenizer.decode(ids))).toEqual(theirs.decoded);
  expect(tokenizer.bosId ?? null).toBe(theirs.bos);
  if (theirs.chat !== null) expect(chatTemplate(tokenizer).apply(messages)).toBe(theirs.chat);
});
