import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint } from '@frugal/checkpoint';
import { splitByHash } from '@frugal/data';
import { loadCorpus } from '@frugal/example-pretrain-distill-deploy/corpus';
import { prepare, pretrain, RunDirectory, settings } from '@frugal/example-pretrain-distill-deploy/steps';
import { fetchFiles } from '@frugal/example-support';
import { convertModel, tokenizerOf } from '@frugal/models';
import { loadTokenizer, type Tokenizer } from '@frugal/tokenizers';
import type { Settings } from './settings.js';

/** The model that is compressed, and text for it. */
export interface Source {
  readonly label: string;
  /** A directory with dense weights. */
  readonly path: string;
  readonly tokenizer: Tokenizer;
  /** Speeches that calibration and distillation may see, and others that are scored. */
  readonly training: readonly string[];
  readonly heldOut: readonly string[];
}

/** SmolLM2-135M-Instruct from `--model` or from the Python package that holds it; null, with the reason printed. */
export function findModel(named: string | undefined): string | null {
  if (named !== undefined) return named;
  const tell = (reason: string) =>
    console.error(`SmolLM2 cannot be had, so a small model is trained instead: ${reason}`);
  return fetchFiles('fetch-test-model.mjs', tell)?.[0] ?? null;
}

/** The weights of a GGUF file as bf16: what everything is made of and compared with. */
export async function realSource(file: string, folder: string, { evaluation }: Settings): Promise<Source> {
  const path = join(folder, 'bf16');
  if (!existsSync(path)) await convertModel(file, path, { to: 'bf16' });
  const checkpoint = await openCheckpoint(file);
  const tokenizer = await tokenizerOf(checkpoint);
  await checkpoint.close();
  return {
    label: file.split(/[/\\]/).at(-1) as string,
    path,
    tokenizer,
    ...(await speeches(evaluation.bytes)),
  };
}

/** A small Llama, trained on the spot for a few seconds. */
export async function ownSource({ size, evaluation }: Settings): Promise<Source> {
  const base = settings[size === 'nano' ? 'nano' : 'quick'];
  const tokens = size === 'nano' ? 2_000 : 120_000;
  const own = { ...base, teacher: { ...base.teacher, layers: 4, tokens } };
  const run = await RunDirectory.open(own);
  const data = await prepare(own, run);
  const signal = new AbortController().signal;
  const { model } = await pretrain({ settings: own, run, data, signal }, 'teacher', own.teacher);
  model.dispose();
  const path = run.file('teacher');
  const tokenizer = await loadTokenizer(path);
  return { label: 'a small Llama', path, tokenizer, ...(await speeches(evaluation.bytes)) };
}

async function speeches(bytes: number): Promise<Pick<Source, 'training' | 'heldOut'>> {
  const documents = (await loadCorpus()).filter(({ label }) => label === 'English');
  const { train, heldOut } = splitByHash(documents, 1 / 12);
  const share = Math.floor(bytes / heldOut.length);
  return {
    training: train.map(({ text }) => text),
    heldOut: heldOut.map(({ text }) => text.slice(0, share)),
  };
}
