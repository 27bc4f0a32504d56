import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CpuBackendUnavailableError, cpuBackend } from '@frugal/backend-cpu';
import { openCheckpoint } from '@frugal/checkpoint';
import { convertModel, loadModel, tokenizerOf } from '@frugal/models';
import { setBackend } from '@frugal/tensor-core';
import { generate } from '@frugal/tensor-core/generation';
import { chatTemplate } from '@frugal/tokenizers';
import { describe, expect, it } from 'vitest';
import { askLlamaCpp, findLlamaCpp } from './support/llama-cpp.js';
import { findGguf } from './support/real-gguf.js';

const original = findGguf();
const llamaCpp = findLlamaCpp();

const PROMPT = 'The three largest cities of Japan are';
const MESSAGES = [{ role: 'user', content: 'Why is the sky blue?' }];
const COUNT = 16;

interface Answer {
  readonly promptIds: readonly number[];
  readonly ids: readonly number[];
  readonly addsBos: boolean;
  readonly template: string | undefined;
  readonly textIds: readonly number[];
}

/** What this project makes of the same file: the text in precise mode, and how prompts are encoded. */
async function ourAnswer(path: string): Promise<Answer> {
  const checkpoint = await openCheckpoint(path);
  const tokenizer = await tokenizerOf(checkpoint);
  await checkpoint.close();
  const promptIds = [...tokenizer.encode(PROMPT)];
  const model = await loadModel(path, { precise: true });
  const ids: number[] = [];
  for await (const id of generate(model, promptIds, { maxTokens: COUNT })) ids.push(id);
  model.dispose();
  return {
    promptIds,
    ids,
    addsBos: promptIds[0] === tokenizer.bosId,
    template: tokenizer.chatTemplates.default,
    textIds: [...chatTemplate(tokenizer).encode(MESSAGES, { addGenerationPrompt: true })],
  };
}

/** The question as the model sees it. */
async function chatText(path: string): Promise<string> {
  const checkpoint = await openCheckpoint(path);
  const tokenizer = await tokenizerOf(checkpoint);
  await checkpoint.close();
  return chatTemplate(tokenizer).apply(MESSAGES, { addGenerationPrompt: true });
}

let available = true;
try {
  cpuBackend();
} catch (error) {
  if (!(error instanceof CpuBackendUnavailableError)) throw error;
  available = false;
}

describe('a real model in llama.cpp', () => {
  it('has the same greedy text, prompt, chat template and BOS after every export', {
    timeout: 600_000,
  }, async (context) => {
    if (!original) return context.skip('needs a GGUF file: FRUGAL_TEST_MODEL, or one in .cache/models');
    if (!llamaCpp) return context.skip('needs node-llama-cpp in the folder that FRUGAL_NODE_PEERS names');
    if (!available) return context.skip('needs the native addon');
    setBackend(cpuBackend());
    const folder = await mkdtemp(join(tmpdir(), 'frugal-llama-cpp-'));
    try {
      const [copy, f32, directory, back] = ['copy.gguf', 'f32.gguf', 'directory', 'back.gguf'].map((name) =>
        join(folder, name),
      );
      await convertModel(original, copy);
      await convertModel(original, f32, { to: 'f32' });
      await convertModel(original, directory, { to: 'f32' });
      await convertModel(directory, back);
      const ours = await ourAnswer(f32);
      const args = [PROMPT, String(COUNT), await chatText(original), original, copy, f32, back];
      const [first, passed, once, twice] = await askLlamaCpp<Answer>('open_llama_cpp.mjs', llamaCpp, args);
      const { file: _, ...wanted } = first as Answer & { file: string };
      expect(passed, 'packed tensors passed through').toMatchObject(wanted);
      expect(once, 'unpacked to f32').toMatchObject(ours);
      expect(twice, 'unpacked to a directory, and written from that').toMatchObject(ours);
      for (const key of ['promptIds', 'addsBos', 'template', 'textIds'] as const)
        expect(once[key], key).toEqual(wanted[key]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
