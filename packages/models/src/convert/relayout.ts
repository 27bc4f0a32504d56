import {
  type Checkpoint,
  layoutProblems,
  openCheckpoint,
  type QuantizedLayoutName,
} from '@frugal/checkpoint';
import { ArgumentError, type FloatDType, noGrad, type PackedTensor, scope } from '@frugal/tensor-core';
import {
  type CausalLM,
  Embedding,
  Linear,
  type LinearLike,
  PackedEmbedding,
  PackedLinear,
  Parameter,
} from '@frugal/tensor-core/nn';
import { toTheirs } from '../families/family.js';
import { modelOf } from '../load.js';
import { packedMatrices } from '../quantized-layout.js';
import { namesOf } from '../registry.js';
import { savedBytes, saveModel } from '../save.js';
import { companionFiles } from './directory-output.js';

export interface RelayoutOptions {
  readonly force?: boolean | undefined;
  /** Plan only. */
  readonly dryRun?: boolean | undefined;
  readonly onProgress?: (event: { readonly done: number; readonly total: number }) => void;
}

/** What became of a model's packed matrices. */
export interface Relayout {
  /** Paths of layers that are stored as they were. */
  readonly kept: readonly string[];
  /** Paths of layers that the layout cannot hold, which are dense now, with the reason. */
  readonly unpacked: readonly { readonly path: string; readonly why: string }[];
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/**
 * The same model with its packed matrices stored in another layout; those that the layout cannot hold become dense. The
 * whole model is held in memory.
 * @throws ArgumentError when the layout can hold none of them, or not all together
 */
export async function relayoutModel(
  input: string,
  output: string,
  layout: QuantizedLayoutName,
  { force = false, dryRun = false, onProgress }: RelayoutOptions = {},
): Promise<Relayout> {
  const checkpoint = await openCheckpoint(input);
  try {
    const model = await modelOf(checkpoint, onProgress ? { onProgress } : {});
    const [kept, unpacked] = unpackRefused(model, layout);
    const bytesAfter = savedBytes(model, new Map(), layout);
    if (!dryRun) await saveModel(model, output, { layout, force, ...(await filesOf(checkpoint, model)) });
    return { kept, unpacked, bytesBefore: bytesOf(checkpoint), bytesAfter };
  } finally {
    await checkpoint.close();
  }
}

function unpackRefused(
  model: CausalLM,
  layout: QuantizedLayoutName,
): [string[], { path: string; why: string }[]] {
  const names = namesOf(model.config);
  const matrices = packedMatrices(model, (path) => toTheirs(names, path) ?? path);
  const refused = new Map(
    matrices.flatMap((matrix) => {
      const [why] = layoutProblems(layout, [matrix]);
      return why === undefined ? [] : [[matrix.modules[0], why] as const];
    }),
  );
  if (refused.size === matrices.length) {
    throw new ArgumentError({
      where: `layout ${layout}`,
      what:
        matrices.length === 0
          ? 'the model has no packed matrices'
          : 'it can hold none of the packed matrices',
      ...(refused.size > 0 && { got: [...refused.values()].slice(0, 3).join('; ') }),
      hint: 'Quantise the model for this layout: frugal quantize --layout.',
    });
  }
  const kept: string[] = [];
  const unpacked: { path: string; why: string }[] = [];
  const dense = new Map<PackedTensor, Parameter>();
  for (const [path, module] of [...model.namedModules()]) {
    if (!(module instanceof PackedLinear || module instanceof PackedEmbedding)) continue;
    const matrix = matrices.find(({ modules }) => modules.includes(toTheirs(names, path) ?? path));
    const why = refused.get(matrix?.modules[0] ?? '');
    if (why === undefined) kept.push(path);
    else {
      unpacked.push({ path, why });
      model.replace(path, unpackedModule(module, model, dense));
    }
  }
  return [kept, unpacked];
}

/** One dense matrix for all modules that shared the packed one. */
function unpackedModule(
  module: PackedLinear | PackedEmbedding,
  model: CausalLM,
  dense: Map<PackedTensor, Parameter>,
): LinearLike | Embedding {
  const dtype = (model.parameters()[0]?.value.dtype ?? 'f32') as FloatDType;
  const unpack = () => new Parameter(scope(() => noGrad(() => module.weight.unpack().cast(dtype))));
  const weight = dense.get(module.weight) ?? unpack();
  dense.set(module.weight, weight);
  if (module instanceof PackedEmbedding) return new Embedding(weight);
  return new Linear(weight, module.bias?.value.detach() ?? null);
}

async function filesOf(checkpoint: Checkpoint, { config }: CausalLM) {
  const files = await companionFiles(checkpoint, config);
  const asText = ([name, content]: readonly [string, string | Uint8Array | object]) =>
    [
      name,
      typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content),
    ] as const;
  return { tokenizerFiles: Object.fromEntries(Object.entries(files).map(asText)) };
}

function bytesOf({ tensors }: Checkpoint): number {
  return [...tensors.entries.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
}
