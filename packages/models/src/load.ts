import { type Checkpoint, openCheckpoint, type TensorEntry } from '@frugal/checkpoint';
import {
  type Backend,
  currentBackend,
  type DType,
  type FloatDType,
  formatShape,
  fromBytes,
  noGrad,
  nullBackend,
  sameShape,
  scope,
  type Tensor,
  withBackend,
  zeros,
} from '@frugal/tensor-core';
import {
  type CausalLM,
  type EmbeddingLike,
  isLinearLike,
  type ModelConfig,
  type Module,
  PackedEmbedding,
  PackedLinear,
} from '@frugal/tensor-core/nn';
import { ModelConfigError } from './config-reader.js';
import { toTheirs } from './families/family.js';
import { readPacked, readQuantization, type StoredQuantization } from './quantized-layout.js';
import { familyOf } from './registry.js';

export interface LoadModelOptions {
  readonly backend?: Backend;
  /** Dtype of the parameters in memory and of the activations. Default f32. */
  readonly dtype?: FloatDType;
  readonly onProgress?: (event: { readonly done: number; readonly total: number }) => void;
}

/**
 * Opens a model from a Hugging Face directory.
 * @throws ModelConfigError for an unknown architecture, and for all missing, surplus and misshapen weights at once
 */
export async function loadModel(path: string, options: LoadModelOptions = {}): Promise<CausalLM> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await modelOf(checkpoint, options);
  } finally {
    await checkpoint.close();
  }
}

/** The model in an open checkpoint. */
export async function modelOf(
  checkpoint: Checkpoint,
  { backend = currentBackend(), dtype = 'f32', onProgress }: LoadModelOptions = {},
): Promise<CausalLM> {
  const model = skeleton(checkpoint.config);
  const packed = await loadPacked(model, checkpoint, backend);
  const wanted = [...model.namedParameters()].map(([ours, parameter]) => ({
    parameter,
    name: toTheirs(familyOf(model.config).names, ours) as string,
  }));
  checkWeights(
    checkpoint,
    new Map(wanted.map(({ name, parameter }) => [name, parameter.shape])),
    packed,
    model,
  );
  for (const [done, { name, parameter }] of wanted.entries()) {
    parameter.value = await readTensor(checkpoint, name, dtype, backend);
    onProgress?.({ done: done + 1, total: wanted.length });
  }
  model.computeDType = dtype;
  return model;
}

/** The model's structure without memory: every parameter has a shape and no values. */
export function skeleton(config: ModelConfig): CausalLM {
  return withBackend(nullBackend(), () => familyOf(config).build(config, (_, shape) => zeros(shape)));
}

/** Puts packed layers where the file has codes and scales; returns the tensor names that they used. */
async function loadPacked(model: CausalLM, checkpoint: Checkpoint, backend: Backend): Promise<Set<string>> {
  const quantization = readQuantization(checkpoint.config);
  const used = new Set<string>();
  if (!quantization) return used;
  const { names } = familyOf(model.config);
  const { entries } = checkpoint.tensors;
  for (const [path, module] of [...model.namedModules()]) {
    const base = toTheirs(names, path);
    const shape = matrixShape(module);
    if (!base || !shape || !entries.has(`${base}.weight_scale`)) continue;
    const weight = await readPacked(quantization.format, shape, backend, async (suffix, part) => {
      const name = `${base}.${suffix}`;
      used.add(name);
      const entry = entries.get(name);
      if (entry?.dtype === part.dtype && sameShape(entry.shape, part.shape))
        return checkpoint.tensors.read(name);
      throw new ModelConfigError({
        where: name,
        what: 'a packed weight has another type or shape than its format',
        got: entry ? `${entry.dtype} ${formatShape(entry.shape)}` : 'nothing',
        expected: `${part.dtype} ${formatShape(part.shape)}`,
      });
    });
    const layer = isLinearLike(module)
      ? new PackedLinear(weight, { bias: module.bias, activation: quantization.activationOf(base) })
      : new PackedEmbedding(weight);
    model.replace(path, layer);
  }
  shareTiedHead(model, quantization);
  return used;
}

/** A packed embedding that is also the head: one matrix, two uses. */
function shareTiedHead(model: CausalLM, quantization: StoredQuantization): void {
  const tied = model.ties.some(({ path }) => path === 'head.weight');
  if (tied && model.embed instanceof PackedEmbedding) {
    const name = toTheirs(familyOf(model.config).names, 'head') as string;
    model.replace(
      'head',
      new PackedLinear(model.embed.weight, { activation: quantization.activationOf(name) }),
    );
  }
}

function matrixShape(module: Module): [number, number] | null {
  if (isLinearLike(module)) return [module.outFeatures, module.inFeatures];
  const embedding = module as Partial<EmbeddingLike>;
  return embedding.vocabularySize && embedding.size ? [embedding.vocabularySize, embedding.size] : null;
}

function checkWeights(
  checkpoint: Checkpoint,
  wanted: ReadonlyMap<string, readonly number[]>,
  packed: ReadonlySet<string>,
  model: CausalLM,
): void {
  const { entries } = checkpoint.tensors;
  const problems: string[] = [];
  for (const [name, shape] of wanted) {
    const entry = entries.get(name);
    if (!entry) problems.push(`missing ${name} ${formatShape(shape)}`);
    else if (!sameShape(entry.shape, shape)) {
      problems.push(`${name} is ${formatShape(entry.shape)}, the config says ${formatShape(shape)}`);
    } else if (!(entry.dtype in dtypes)) problems.push(`${name} has dtype ${entry.dtype}`);
  }
  // A tied head may be stored as well; rotary tables of old checkpoints are computed anew.
  const { names } = familyOf(model.config);
  const harmless = new Set(model.ties.map(({ path }) => toTheirs(names, path)));
  for (const name of entries.keys()) {
    if (wanted.has(name) || packed.has(name) || harmless.has(name) || name.endsWith('rotary_emb.inv_freq'))
      continue;
    problems.push(`unknown ${name}`);
  }
  if (problems.length === 0) return;
  const shown = problems.slice(0, 20).join('; ');
  throw new ModelConfigError({
    where: checkpoint.path,
    what: `the weights do not fit the config in ${problems.length} places`,
    got: problems.length > 20 ? `${shown}; and ${problems.length - 20} more` : shown,
    hint: 'Check that config.json belongs to these weights.',
  });
}

const dtypes: Partial<Record<TensorEntry['dtype'], DType>> = { F32: 'f32', BF16: 'bf16', F16: 'f16' };

async function readTensor(
  checkpoint: Checkpoint,
  name: string,
  dtype: FloatDType,
  backend: Backend,
): Promise<Tensor> {
  const entry = checkpoint.tensors.entries.get(name) as TensorEntry;
  const bytes = await checkpoint.tensors.read(name);
  return scope(() =>
    noGrad(() =>
      fromBytes(bytes, { shape: entry.shape, dtype: dtypes[entry.dtype] as DType, backend }).cast(dtype),
    ),
  );
}
