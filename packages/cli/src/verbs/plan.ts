import { stat } from 'node:fs/promises';
import { type Deployment, type Machine, type ModelShape, predictDeployment } from '@frugal/eval';
import { configOf, skeleton } from '@frugal/models';
import { formatBytes, formatNumber, renderTable } from '@frugal/report';
import type { CausalLM, ModelConfig } from '@frugal/tensor-core/nn';
import { measureMachine, readMachine } from '../capacity/machines.js';
import { footprintsOf, shapeOf } from '../capacity/model-shape.js';
import { withCheckpoint } from '../checkpoint.js';
import { type Context, printJson } from '../context.js';
import { readTextFile } from '../files.js';
import { modelPath, requireThere } from '../model.js';
import { addVerb, integer, type JsonOption, number, type Verb } from '../verb.js';

interface Options extends JsonOption {
  readonly machine?: string;
  readonly context?: number;
  readonly streams: number;
  readonly price?: number;
}

export const planVerb: Verb = (program, context) => {
  addVerb(program, {
    name: 'plan',
    summary: 'what fits: memory, speed and cost of a model in each format on a machine',
    notes: `Weights are not read: a config.json is enough. FILE describes a machine; without it this one is measured:

  name: clinic PC
  pricePerHour: 0.04
  devices:
    - name: 8 cores
      memoryBytes: 16e9
      readBytesPerSecond: 40e9
      operationsPerSecond: { f32: 400e9, bf16: 800e9, int8: 1600e9 }

Layers go to the fastest memory first. Predictions are rooflines with the shares that measured models reach.`,
    examples: [
      'frugal plan models/llama-7b/config.json',
      'frugal plan runs/student --machine clinic.yaml --streams 16',
    ],
  })
    .argument('<MODEL>', 'a model, or its config.json')
    .option('--machine <FILE>', 'YAML or JSON (default: this machine, measured)')
    .option('--context <N>', "tokens of each stream (default: 4096, or the model's context)", integer(1))
    .option('--streams <N>', 'answers written at once', integer(1), 1)
    .option('--price <P>', 'of an hour of the machine', number(0))
    .action(async (source: string, options: Options) => {
      const { model, storedBytes } = await structureAt(source, context);
      const shape = shapeOf(model);
      const described =
        options.machine === undefined ? await measureMachine() : await readMachine(options.machine);
      const machine = { ...described, ...(options.price !== undefined && { pricePerHour: options.price }) };
      const load = {
        context: Math.min(options.context ?? 4096, model.contextLength),
        streams: options.streams,
      };
      const deployments = footprintsOf(model, storedBytes).map((footprint) =>
        predictDeployment(shape, footprint, machine, load),
      );
      const suggestion = deployments.find(({ fits }) => fits)?.recipe ?? null;
      if (options.json) return printJson(context, { shape, machine, ...load, deployments, suggestion });
      context.terminal.out(describe(shape, machine, load, deployments, suggestion));
    });
};

/** The structure of a model, without reading its weights; and their bytes where they are quantised already. */
async function structureAt(
  source: string,
  context: Context,
): Promise<{ model: CausalLM; storedBytes: number | null }> {
  const path = await modelPath(source, context);
  await requireThere(path);
  if (path.endsWith('.json') && (await stat(path)).isFile()) {
    return { model: skeleton(JSON.parse(await readTextFile(path)) as ModelConfig), storedBytes: null };
  }
  return withCheckpoint(path, async (checkpoint) => {
    const { quantization_config: quantization, ...config } = await configOf(checkpoint);
    const isPacked = quantization !== undefined || path.toLowerCase().endsWith('.gguf');
    const entries = [...checkpoint.tensors.entries.values()];
    const bytes = entries.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return { model: skeleton(config), storedBytes: isPacked ? bytes : null };
  });
}

function describe(
  shape: ModelShape,
  machine: Machine,
  load: { readonly context: number; readonly streams: number },
  deployments: readonly Deployment[],
  suggestion: string | null,
): string {
  const active =
    shape.activeParameters < 0.9 * shape.parameters
      ? `, ${formatNumber(shape.activeParameters)} in the products of a token`
      : '';
  const devices = machine.devices.map(
    ({ name, memoryBytes, readBytesPerSecond }) =>
      `${name} (${formatBytes(memoryBytes)}, ${formatBytes(readBytesPerSecond)}/s)`,
  );
  const priced = machine.pricePerHour > 0;
  const placed = machine.devices.length > 1;
  const columns = [
    { title: 'format' },
    { title: 'weights', format: 'bytes' as const },
    { title: 'cache', format: 'bytes' as const },
    { title: 'memory', format: 'bytes' as const },
    { title: 'fits' },
    ...(placed ? [{ title: 'layers' }] : []),
    { title: 'new tok/s', decimals: 1 },
    ...(load.streams > 1 ? [{ title: 'in all', decimals: 1 }] : []),
    { title: 'prompt tok/s', decimals: 0 },
    ...(priced ? [{ title: 'cost per M', decimals: 3 }] : []),
  ];
  const rows = deployments.map((each) => [
    each.recipe,
    each.weightBytes,
    each.cacheBytes,
    each.memoryBytes,
    each.fits ? 'yes' : 'no',
    ...(placed ? [each.layersByDevice.join(' + ')] : []),
    each.decodeTokensPerSecond,
    ...(load.streams > 1 ? [each.decodeTokensPerSecondInAll] : []),
    each.prefillTokensPerSecond,
    ...(priced ? [each.costPerMillionTokens] : []),
  ]);
  const advice =
    suggestion === null
      ? 'Nothing fits: more memory, a shorter --context, or a smaller model (frugal compress --recipe half-depth, frugal distill).'
      : suggestion === 'bf16'
        ? 'Fits as it is; smaller formats are faster.'
        : `The most exact format that fits: frugal compress MODEL --recipe ${suggestion} --out DIR`;
  return [
    `${formatNumber(shape.parameters)} parameters${active}; ${shape.layers} layers`,
    `${machine.name}: ${devices.join(', ')}`,
    `${load.streams} stream${load.streams > 1 ? 's' : ''} of ${formatNumber(load.context, { decimals: 0 })} tokens; predicted, not measured:`,
    '',
    renderTable(columns, rows),
    '',
    `${advice}\n`,
  ].join('\n');
}
