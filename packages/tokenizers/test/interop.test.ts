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

interface Opened {
  readonly ids: number[][];
  readonly decoded: string[];
  readonly chat: string | null;
  readonly bos: number | null;
}

const makers: Record<string, () => Tokenizer> = {
  'trained, gpt2': () => trained('gpt2'),
  'trained, llama3': () => trained('llama3'),
  'trained, qwen2': () => trained('qwen2'),
  'from GGUF': sentencepiece,
  'saved again': () => fixtureTokenizer('llama2'),
};

it('transformers opens tokenizers of ours', async (context) => {
  if (python === undefined) return context.skip('no Python with transformers');
  const folder = await temporaryFolder();
  const tokenizers = Object.entries(makers).map(([name, make]) => [name, make()] as const);
  for (const [name, tokenizer] of tokenizers) await saveTokenizer(tokenizer, join(folder, name));
  const input = join(folder, 'input.json');
  await writeFile(input, JSON.stringify({ texts, messages }));
  const script = join(root, 'oracles/tokenizers/open_tokenizers.py');
  // One process for all: importing transformers takes longer than everything else.
  const directories = tokenizers.map(([name]) => join(folder, name));
  const { stdout, stderr, status } = spawnSync(python, [script, input, ...directories], { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  const opened = JSON.parse(stdout) as Opened[];
  tokenizers.forEach(([name, tokenizer], i) => {
    const { ids, decoded, chat, bos } = opened[i];
    expect(
      texts.map((text) => [...tokenizer.encode(text)]),
      name,
    ).toEqual(ids);
    expect(
      ids.map((row) => tokenizer.decode(row)),
      name,
    ).toEqual(decoded);
    expect(tokenizer.bosId ?? null, name).toBe(bos);
    expect(tokenizer.chatTemplates.default ? chatTemplate(tokenizer).apply(messages) : null, name).toBe(chat);
  });
});
