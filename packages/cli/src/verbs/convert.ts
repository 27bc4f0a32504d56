import { type Conversion, convertModel, planConversion } from '@frugal/models';
import { formatBytes, formatNumber, renderTable } from '@frugal/report';
import { type Context, printJson } from '../context.js';
import { modelPath } from '../model.js';
import { withProgress } from '../progress.js';
import { addVerb, integer, type JsonOption, type Verb } from '../verb.js';

interface ConvertVerbOptions extends JsonOption {
  readonly to?: string;
  readonly force?: true;
  readonly resume?: true;
  readonly dryRun?: true;
  readonly maxShardBytes?: number;
}

export const convertVerb: Verb = (program, context) => {
  addVerb(program, {
    name: 'convert',
    summary: 'a model directory or GGUF file as the other one, or with another number format',
    notes: [
      'OUT ends in .gguf, or is a folder that gets config.json, safetensors and the tokenizer. Without --to, numbers stay',
      'as they are where OUT can hold them; packed ones become f32 in folders. Norms stay f32 in GGUF, and embeddings get',
      'more bits than asked for below 5. Memory: a few rows at a time, however large the model.',
    ].join('\n'),
    examples: [
      'frugal convert runs/student student.gguf --to q8_0',
      'frugal convert model.gguf model --to bf16',
    ],
  })
    .argument('<IN>', 'a Hugging Face directory, a .gguf file, or hf:org/name')
    .argument('<OUT>', 'a .gguf file or a folder')
    .option('--to <FORMAT>', 'f32, f16, bf16; in GGUF also q8_0, q6_k, q5_k, q4_k, q4_0, …')
    .option('--max-shard-bytes <N>', 'largest file of a folder (default: 5 GB)', integer(1))
    .option('--force', 'replace what is there')
    .option('--resume', 'go on with a conversion that was interrupted')
    .option('--dry-run', 'check everything and say what would be done')
    .action((input: string, output: string, options: ConvertVerbOptions) =>
      convert(input, output, options, context),
    );
};

async function convert(
  input: string,
  output: string,
  { json, dryRun, ...options }: ConvertVerbOptions,
  context: Context,
): Promise<void> {
  const path = await modelPath(input, context);
  const conversion = dryRun
    ? await planOnly(path, output, options)
    : await withProgress(context, 'Converting', (update) =>
        convertModel(path, output, {
          ...options,
          signal: context.signal,
          onProgress: ({ done, total }) => update(done, total),
        }),
      );
  const { bytesBefore, bytesAfter, tensors } = conversion;
  if (json) printJson(context, { output, dryRun: dryRun ?? false, bytesBefore, bytesAfter, tensors });
  else printConversion(output, conversion, dryRun ?? false, context);
}

async function planOnly(path: string, output: string, options: ConvertVerbOptions): Promise<Conversion> {
  const conversion = await planConversion(path, output, { ...options, force: true });
  await conversion.close();
  return conversion;
}

function printConversion(
  output: string,
  { bytesBefore, bytesAfter, tensors }: Conversion,
  dryRun: boolean,
  { terminal }: Context,
): void {
  const counts = new Map<string, number>();
  for (const { from, to } of tensors) {
    const key = `${from ?? 'packed'} → ${to}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const rows = [...counts].map(([change, count]) => [change, count]);
  terminal.out(`${renderTable([{ title: 'numbers' }, { title: 'tensors' }], rows)}\n`);
  const what = dryRun ? 'would be' : 'is';
  terminal.out(
    `${output} ${what} ${formatBytes(bytesAfter)} in ${formatNumber(tensors.length)} tensors (before: ${formatBytes(bytesBefore)}).\n`,
  );
}
