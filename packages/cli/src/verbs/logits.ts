import { saveSafetensors, tensorInput } from '@frugal/checkpoint';
import { renderTable } from '@frugal/report';
import { noGrad, scope } from '@frugal/tensor-core';
import { type CausalLM, stepBatch } from '@frugal/tensor-core/nn';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { type Context, printJson } from '../context.js';
import { CommandError } from '../errors.js';
import { refuseExisting } from '../files.js';
import { ADAPTER_OPTION, modelPath, openModel } from '../model.js';
import { PRECISE_OPTION } from '../precise.js';
import { addVerb, integerList, type JsonOption, MODEL_ARGUMENT, type Verb } from '../verb.js';

/** Logits of every position of one sequence. */
export interface Logits {
  readonly ids: readonly number[];
  readonly vocabularySize: number;
  /** [T, V]. */
  readonly values: Float32Array;
}

interface Options extends BackendOptions, JsonOption {
  readonly ids: readonly number[];
  readonly out?: string;
  readonly force?: true;
  readonly precise?: true;
  readonly adapter?: string;
}

export const logitsVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'logits',
    summary: 'logits of every position, for parity checks with other tools',
    notes: 'The file of --out holds the tensors ids (i32 [T]) and logits (f32 [T, V]).',
    examples: [
      'frugal logits runs/student --ids 1,2,3',
      'frugal logits runs/student --ids 1,2,3 --out logits.safetensors',
      'frugal logits base-model --ids 1,2,3 --adapter runs/adapter',
      'frugal logits runs/student-int8 --ids 1,2,3 --precise --json',
    ],
  })
    .argument(...MODEL_ARGUMENT)
    .requiredOption('--ids <IDS>', 'token ids, separated by commas', integerList)
    .option('--out <FILE>', 'write a safetensors file')
    .option('--force', 'replace the file')
    .option(...ADAPTER_OPTION)
    .option(...PRECISE_OPTION);
  addBackendOptions(command).action(async (source: string, options: Options) => {
    if (options.out) await refuseExisting(options.out, options.force);
    useBackend(options, context);
    const model = await openModel(await modelPath(source, context), context, options);
    const logits = await computeLogits(model, options.ids);
    if (options.out) await saveLogits(options.out, logits);
    if (options.json) printJson(context, { ids: logits.ids, logits: rowsOf(logits) });
    else if (!options.out) printTop(logits, context);
  });
};

/** @throws CommandError when the ids do not fit into the model's context */
export async function computeLogits(model: CausalLM, ids: readonly number[]): Promise<Logits> {
  const { vocabularySize, contextLength } = model;
  if (ids.length > contextLength) {
    throw new CommandError({
      where: 'logits',
      what: 'too many ids for the context of the model',
      got: String(ids.length),
      expected: `at most ${contextLength}`,
    });
  }
  const logits = scope(() => noGrad(() => model.forward(stepBatch([ids], { vocabularySize })).logits()));
  const values = await logits.toFloat32();
  logits.dispose();
  return { ids, vocabularySize, values };
}

async function saveLogits(path: string, { ids, vocabularySize, values }: Logits): Promise<void> {
  await saveSafetensors(path, [
    tensorInput('ids', 'I32', [ids.length], Int32Array.from(ids)),
    tensorInput('logits', 'F32', [ids.length, vocabularySize], values),
  ]);
}

function rowsOf({ ids, vocabularySize, values }: Logits): number[][] {
  return ids.map((_, t) => Array.from(values.subarray(t * vocabularySize, (t + 1) * vocabularySize)));
}

const SHOWN = 3;

function printTop(logits: Logits, { terminal }: Context): void {
  const places = Array.from({ length: SHOWN }, (_, i) => `${i + 1}.`);
  const columns = [
    { title: 'position' },
    { title: 'id' },
    ...places.map((title) => ({ title, align: 'right' as const })),
  ];
  const rows = rowsOf(logits).map((row, t) => {
    const best = row.map((value, id) => ({ value, id })).sort((a, b) => b.value - a.value);
    return [t, logits.ids[t], ...best.slice(0, SHOWN).map(({ value, id }) => `${id}: ${value.toFixed(4)}`)];
  });
  terminal.out(`${renderTable(columns, rows)}\n`);
}
