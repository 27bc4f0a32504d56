import { isBlockDType, isDType, type QuantizedLayoutName, quantizedLayouts } from '@frugal/checkpoint';
import { type Conversion, convertModel, planConversion, relayoutModel } from '@frugal/models';
import { formatBytes, formatNumber, renderTable } from '@frugal/report';
import { useProcessor } from '../backend.js';
import { type Context, printJson } from '../context.js';
import { UsageError } from '../errors.js';
import { refuseExisting } from '../files.js';
import { modelPath } from '../model.js';
import { withProgress } from '../progress.js';
import { addVerb, integer, type JsonOption, Option, type Verb } from '../verb.js';

interface ConvertVerbOptions extends JsonOption {
  readonly to?: string;
  readonly layout?: QuantizedLayoutName | 'gguf';
  readonly force?: true;
  readonly resume?: true;
  readonly dryRun?: boolean;
  readonly maxShardBytes?: number;
  readonly threads?: number;
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
      'frugal convert runs/int4 runs/int4-gptq --layout gptq',
    ],
  })
    .argument('<IN>', 'a Hugging Face directory, a .gguf file, or hf:org/name')
    .argument('<OUT>', 'a .gguf file or a folder')
    .option('--to <FORMAT>', 'f32, f16, bf16; in GGUF also q8_0, q6_k, q5_k, q4_k, q4_0, …')
    .addOption(
      new Option(
        '--layout <NAME>',
        'how packed matrices are stored in a folder; those that it cannot hold become dense',
      ).choices([...quantizedLayouts, 'gguf']),
    )
    .option('--max-shard-bytes <N>', 'largest file of a folder (default: 5 GB)', integer(1))
    .option(
      '--threads <N>',
      'threads that pack numbers (default: FRUGAL_THREADS, or the physical cores)',
      integer(1),
    )
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
  { json, dryRun, layout, threads, ...options }: ConvertVerbOptions,
  context: Context,
): Promise<void> {
  checkLayout(output, layout, options);
  const path = await modelPath(input, context);
  if (layout && layout !== 'gguf')
    return convertLayout(path, output, layout, { json, dryRun, ...options }, context);
  if (!dryRun && packsBlocks(options.to)) useProcessor({ threads }, context);
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

/** Whether the processor has to search scales, which its kernels do many times faster. */
function packsBlocks(to: string | undefined): boolean {
  const dtype = to?.toUpperCase();
  return dtype !== undefined && isDType(dtype) && isBlockDType(dtype);
}

/** @throws UsageError for a layout that does not go with the name of the output, or with other options */
function checkLayout(
  output: string,
  layout: ConvertVerbOptions['layout'],
  options: ConvertVerbOptions,
): void {
  if (layout === undefined) return;
  const isFile = output.toLowerCase().endsWith('.gguf');
  if (isFile !== (layout === 'gguf')) {
    const expected = isFile ? 'gguf' : 'a name that ends in .gguf';
    throw new UsageError({ where: '--layout', what: 'it does not fit the output', got: layout, expected });
  }
  if (layout !== 'gguf' && (options.to ?? options.resume ?? options.maxShardBytes) !== undefined)
    throw new UsageError({
      where: '--layout',
      what: 'numbers stay as they are: leave --to, --resume and --max-shard-bytes out',
    });
}

async function convertLayout(
  path: string,
  output: string,
  layout: QuantizedLayoutName,
  { json, dryRun = false, force }: ConvertVerbOptions,
  context: Context,
): Promise<void> {
  await refuseExisting(output, force);
  const done = await withProgress(context, 'Converting', (update) =>
    relayoutModel(path, output, layout, {
      dryRun,
      force,
      onProgress: ({ done, total }) => update(done, total),
    }),
  );
  const { kept, unpacked, bytesBefore, bytesAfter } = done;
  if (json) return printJson(context, { output, layout, dryRun, ...done });
  const { terminal } = context;
  for (const { why } of unpacked) terminal.err(`Stored dense: ${why}\n`);
  const [what, was] = [dryRun ? 'would be' : 'is', `before: ${formatBytes(bytesBefore)}`];
  terminal.out(
    `${output} ${what} ${formatBytes(bytesAfter)} (${was}), ${formatNumber(kept.length)} matrices as ${layout}.\n`,
  );
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
