import { type Checkpoint, openCheckpoint } from '@frugal/checkpoint';
import { nullBackend } from '@frugal/tensor-core';
import { modelOf } from '../load.js';
import { tokenizerOf } from '../tokenizer.js';
import { configOf } from '../weights/open-weights.js';
import { chat } from './chat.js';
import type { Check, Finding, Patient } from './finding.js';
import { ggufAttention } from './gguf-attention.js';
import { ggufBos } from './gguf-bos.js';
import { ggufHead } from './gguf-head.js';
import { ggufMetadata } from './gguf-metadata.js';
import { ggufVocabulary } from './gguf-vocabulary.js';
import { head } from './head.js';
import { quantizationLabel } from './quantization-label.js';
import { ropeOrder } from './rope-order.js';
import { tokenIds, vocabulary } from './vocabulary.js';
import { weights } from './weights.js';
import { zeroPoints } from './zero-points.js';

/** A new check is its file and one entry here. */
const checks: readonly Check[] = [
  quantizationLabel,
  zeroPoints,
  head,
  ropeOrder,
  vocabulary,
  tokenIds,
  chat,
  ggufMetadata,
  ggufAttention,
  ggufVocabulary,
  ggufHead,
  ggufBos,
];

export interface ExamineOptions {
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Reads all of a checkpoint and says what is wrong with it: structure, every weight, the tokenizer, what they say of
 * each other, and what fails silently in other tools. Never throws for what is in the files.
 */
export async function examineModel(
  path: string,
  { onProgress = () => {} }: ExamineOptions = {},
): Promise<Finding[]> {
  let checkpoint: Checkpoint;
  try {
    checkpoint = await openCheckpoint(path);
  } catch (error) {
    return [failure('structure', error)];
  }
  try {
    const { patient, findings } = await open(checkpoint);
    findings.push(...(await weights(patient, onProgress)));
    for (const check of checks) {
      const found = await attempt(async () => check(patient));
      findings.push(...('error' in found ? [failure('doctor', found.error)] : found.value));
    }
    return findings;
  } finally {
    await checkpoint.close();
  }
}

async function open(checkpoint: Checkpoint): Promise<{ patient: Patient; findings: Finding[] }> {
  const findings: Finding[] = [];
  const config = await attempt(() => configOf(checkpoint));
  const model = await attempt(() => modelOf(checkpoint, { backend: nullBackend() }));
  if ('error' in model) findings.push(failure('structure', model.error));
  else {
    const what = `${checkpoint.tensors.entries.size} tensors fit the config`;
    findings.push({ check: 'structure', level: 'ok', what });
  }
  const hasTokenizer = checkpoint.kind === 'gguf' || checkpoint.files.includes('tokenizer.json');
  const tokenizer = hasTokenizer ? await attempt(() => tokenizerOf(checkpoint)) : null;
  if (!tokenizer) {
    const what = 'there is no tokenizer.json: the model cannot read or write text';
    findings.push({ check: 'tokenizer', level: 'warning', what });
  } else if ('error' in tokenizer) findings.push(failure('tokenizer', tokenizer.error));
  else {
    const what = `the tokenizer has ${tokenizer.value.vocabularySize} ids`;
    findings.push({ check: 'tokenizer', level: 'ok', what });
  }
  const contentOf = <T>(result: { value: T } | { error: unknown } | null) =>
    result && 'value' in result ? result.value : null;
  const patient = {
    checkpoint,
    config: contentOf(config),
    model: contentOf(model),
    tokenizer: contentOf(tokenizer),
  };
  return { patient, findings };
}

async function attempt<T>(work: () => Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}

function failure(check: string, error: unknown): Finding {
  return { check, level: 'error', what: error instanceof Error ? error.message : String(error) };
}
