import { type Checkpoint, isNumericDType, openCheckpoint, toFloat32 } from '@frugal/checkpoint';
import { modelOf } from '@frugal/models';
import { nullBackend } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { loadTokenizer } from '@frugal/tokenizers';

/** One thing that was looked at. */
export interface Finding {
  readonly level: 'ok' | 'warning' | 'error';
  readonly what: string;
}

export interface CheckOptions {
  readonly onProgress?: (done: number, total: number) => void;
}

/** Opens a checkpoint and reads all of it: structure, every weight, the tokenizer, and what they say of each other. */
export async function checkModel(path: string, options: CheckOptions = {}): Promise<Finding[]> {
  let checkpoint: Checkpoint;
  try {
    checkpoint = await openCheckpoint(path);
  } catch (error) {
    return [{ level: 'error', what: (error as Error).message }];
  }
  try {
    const model = await attempt(() => modelOf(checkpoint, { backend: nullBackend() }));
    const structure: Finding =
      'error' in model
        ? model.error
        : { level: 'ok', what: `${checkpoint.tensors.entries.size} tensors fit the config` };
    return [
      structure,
      ...(await checkWeights(checkpoint, options)),
      ...(await checkTokenizer(checkpoint, 'error' in model ? null : model.value)),
    ];
  } finally {
    await checkpoint.close();
  }
}

async function attempt<T>(work: () => Promise<T>): Promise<{ value: T } | { error: Finding }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error: { level: 'error', what: (error as Error).message } };
  }
}

/** NaN and infinity spoil every text; a matrix of zeros is nearly always a conversion that went wrong. */
async function checkWeights({ tensors }: Checkpoint, { onProgress }: CheckOptions): Promise<Finding[]> {
  const findings: Finding[] = [];
  let done = 0;
  for (const { name, dtype, shape } of tensors.entries.values()) {
    const bytes = await tensors.read(name);
    if (isNumericDType(dtype) && dtype !== 'BOOL') {
      const values = toFloat32(bytes, dtype);
      const broken = values.reduce((count, value) => count + (Number.isFinite(value) ? 0 : 1), 0);
      if (broken > 0)
        findings.push({
          level: 'error',
          what: `${name}: ${broken} of ${values.length} values are NaN or infinite`,
        });
      else if (shape.length > 1 && values.every((value) => value === 0))
        findings.push({ level: 'warning', what: `${name}: all values are 0` });
    }
    onProgress?.(++done, tensors.entries.size);
  }
  if (findings.length === 0) findings.push({ level: 'ok', what: 'all weights are finite' });
  return findings;
}

async function checkTokenizer(checkpoint: Checkpoint, model: CausalLM | null): Promise<Finding[]> {
  if (!checkpoint.files.includes('tokenizer.json')) {
    return [{ level: 'warning', what: 'there is no tokenizer.json: the model cannot read or write text' }];
  }
  const opened = await attempt(() => loadTokenizer(checkpoint.path));
  if ('error' in opened) return [opened.error];
  const { vocabularySize, bosId, eosIds } = opened.value;
  const findings: Finding[] = [];
  if (model && vocabularySize > model.vocabularySize) {
    const what = `the tokenizer has ${vocabularySize} ids, the model embeds ${model.vocabularySize}: some texts will fail`;
    findings.push({ level: 'error', what });
  }
  if (eosIds.length === 0)
    findings.push({
      level: 'warning',
      what: 'the tokenizer has no end-of-text token: texts never end by themselves',
    });
  findings.push(
    ...disagreements(checkpoint, { bos_token_id: bosId === undefined ? [] : [bosId], eos_token_id: eosIds }),
  );
  return findings.length > 0
    ? findings
    : [{ level: 'ok', what: `the tokenizer (${vocabularySize} ids) fits the model` }];
}

/** Ids that config.json and the tokenizer say differently: other tools may believe the other one. */
function disagreements(
  { config }: Checkpoint,
  known: Readonly<Record<string, readonly number[]>>,
): Finding[] {
  return Object.entries(known).flatMap(([field, ids]): Finding[] => {
    const said = [config[field]].flat().filter((id) => typeof id === 'number');
    if (said.length === 0 || said.every((id) => ids.includes(id))) return [];
    const what = `config.json says ${field} ${said.join(', ')}, the tokenizer says ${ids.join(', ') || 'none'}`;
    return [{ level: 'warning', what }];
  });
}
