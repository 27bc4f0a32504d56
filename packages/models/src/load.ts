import { type Checkpoint, openCheckpoint } from '@frugal/checkpoint';
import {
  type Backend,
  currentBackend,
  type FloatDType,
  noGrad,
  nullBackend,
  type PackedTensor,
  type Shape,
  scope,
  type Tensor,
  withBackend,
  zeros,
} from '@frugal/tensor-core';
import {
  type ActivationFormat,
  type CacheDType,
  type CausalLM,
  cacheDTypes,
  type EmbeddingLike,
  isLinearLike,
  type Model,
  type ModelConfig,
  type Module,
  PackedEmbedding,
  PackedLinear,
} from '@frugal/tensor-core/nn';
import { ModelConfigError } from './config-reader.js';
import type { EncoderModel } from './encoder.js';
import type { Family } from './families/family.js';
import { anyFamilyOf, encoderFamilyOf, familyOf, tabularFamilyOf } from './registry.js';
import type { TabularModel } from './tabular.js';
import { checkWeights } from './weights/check-weights.js';
import { type DensePart, denseParts } from './weights/dense-parts.js';
import { type ExpertMemorySettings, ExpertWeights } from './weights/expert-weights.js';
import { openWeights } from './weights/open-weights.js';
import { StoredTensors, tensorDTypes } from './weights/stored-tensors.js';
import type { StoredMatrix, WeightSource } from './weights/weight-source.js';

export interface LoadModelOptions {
  readonly backend?: Backend;
  /**
   * Dtype of the parameters in memory and of the activations. `stored`: matrices stay what they are in the file, where the
   * backend can without leaving it, and everything else is f32; products give the bits of f32. Default f32.
   */
  readonly dtype?: FloatDType | 'stored';
  /** Keep activations in f32 before packed matrices, whatever suits or the file says. Default false. */
  readonly precise?: boolean;
  /** Keep only so many bytes of experts in memory; the others stay in a file. Default: all stay in memory. */
  readonly expertMemory?: ExpertMemorySettings | undefined;
  readonly onProgress?: (event: { readonly done: number; readonly total: number }) => void;
}

/**
 * Opens a model from a Hugging Face directory or a GGUF file.
 * @throws ModelConfigError for an unknown architecture, and for all missing, surplus and misshapen weights at once
 */
export function loadModel(path: string, options: LoadModelOptions = {}): Promise<CausalLM> {
  return opened(path, (checkpoint) => modelOf(checkpoint, options));
}

/** {@link loadModel} for encoders. */
export function loadEncoder(path: string, options: LoadModelOptions = {}): Promise<EncoderModel> {
  return opened(path, (checkpoint) => encoderOf(checkpoint, options));
}

/** {@link loadModel} for tabular models. */
export function loadTabular(path: string, options: LoadModelOptions = {}): Promise<TabularModel> {
  return opened(path, (checkpoint) => filled(checkpoint, tabularFamilyOf, options, null));
}

/** The model in an open checkpoint. */
export async function modelOf(checkpoint: Checkpoint, options: LoadModelOptions = {}): Promise<CausalLM> {
  const { backend = currentBackend(), expertMemory } = options;
  const experts = expertMemory ? await ExpertWeights.create(backend, expertMemory) : null;
  try {
    const model = await filled(checkpoint, familyOf, options, experts);
    await experts?.finish(model);
    return model;
  } catch (error) {
    await experts?.abandon();
    throw error;
  }
}

/** The encoder in an open checkpoint. */
export function encoderOf(checkpoint: Checkpoint, options: LoadModelOptions = {}): Promise<EncoderModel> {
  return filled(checkpoint, encoderFamilyOf, options, null);
}

async function opened<M>(path: string, read: (checkpoint: Checkpoint) => Promise<M>): Promise<M> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await read(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

async function filled<M extends Model & { computeDType: FloatDType }>(
  opened: Checkpoint,
  family: (config: ModelConfig) => Family<M>,
  { backend = currentBackend(), dtype = 'f32', precise = false, onProgress }: LoadModelOptions,
  experts: ExpertWeights | null,
): Promise<M> {
  const source = await openWeights(opened);
  const checkpoint = { ...opened, tensors: source.tensors };
  const model = withoutMemory(family(source.config), source.config);
  const packed = packedModules(model, source);
  const dense = unpackedParts(model, source, packed);
  checkWeights(checkpoint, source, model, dense, packed);
  const total = dense.size + packed.size;
  let done = 0;
  const tensors = new StoredTensors(checkpoint, backend);
  for (const [path, { module, matrix }] of packed) {
    const weight = (await matrix.load(tensors)).prepare();
    if (weight.layout !== undefined) for (const name of matrix.tensors) tensors.discard(name);
    const activation = precise ? null : matrix.activation;
    if (experts?.handles(path)) await experts.addPacked(path, weight, activation);
    else model.replace(path, packedLayer(module, weight, activation));
    onProgress?.({ done: ++done, total });
  }
  shareTiedHead(model, precise ? null : (packed.get('embed')?.matrix.activation ?? null));
  for (const [path, part] of dense) {
    const name = source.nameOf(path) as string;
    const stored = tensorDTypes[tensors.entryOf(name).dtype] as FloatDType;
    const wanted = part.isBuffer ? 'f32' : dtype === 'stored' ? keptDType(path, part, stored, source) : dtype;
    const value = await readDense(path, part, { source, tensors, dtype: wanted });
    if (experts?.handles(path)) await experts.addDense(path, value);
    else part.place(value);
    if (stored !== wanted) tensors.discard(name);
    onProgress?.({ done: ++done, total });
  }
  await tensors.finish();
  model.computeDType = dtype === 'stored' ? 'f32' : dtype;
  const cacheDType = cacheDTypeOf(opened);
  if (cacheDType) Object.assign(model, { cacheDType });
  return model;
}

/** What the manifest says. @throws ModelConfigError for a word that it cannot mean */
function cacheDTypeOf({ manifest }: Checkpoint): CacheDType | undefined {
  const said = manifest?.cache?.dtype;
  const found = cacheDTypes.find((dtype) => dtype === said);
  if (said === undefined || found) return found;
  throw new ModelConfigError({
    where: 'frugal.json: cache.dtype',
    what: 'keys and values cannot be stored so',
    got: JSON.stringify(said),
    expected: cacheDTypes.join(', '),
  });
}

/** The model's structure without memory: every parameter has a shape and no values. */
export function skeleton(config: ModelConfig): CausalLM {
  return withoutMemory(familyOf(config), config);
}

/**
 * {@link skeleton} for models of any kind, whose matrices have the given dtype.
 * @throws ModelConfigError for an unknown architecture
 */
export function structureOf(config: ModelConfig, dtype: FloatDType = 'f32'): Model {
  return withoutMemory(anyFamilyOf(config), config, dtype);
}

function withoutMemory<M extends Model>(
  family: Family<M>,
  config: ModelConfig,
  dtype: FloatDType = 'f32',
): M {
  const empty = (shape: Shape) => zeros(shape, { dtype: shape.length === 2 ? dtype : 'f32' });
  return withBackend(nullBackend(), () => family.build(config, (_, shape) => empty(shape)));
}

/** A module whose matrix the file holds packed. */
export interface PackedModule {
  readonly module: Module;
  readonly matrix: StoredMatrix;
}

function packedModules(model: Model, source: WeightSource): Map<string, PackedModule> {
  const packed = new Map<string, PackedModule>();
  const tied = new Set(model.ties.map(({ path }) => path));
  for (const [path, module] of model.namedModules()) {
    const shape = matrixShape(module);
    if (!shape || tied.has(`${path}.weight`)) continue;
    const matrix = source.matrix(path, shape);
    if (matrix) packed.set(path, { module, matrix });
  }
  return packed;
}

function unpackedParts(
  model: Model,
  { nameOf }: WeightSource,
  packed: ReadonlyMap<string, PackedModule>,
): Map<string, DensePart> {
  const isPacked = (path: string) => path.endsWith('.weight') && packed.has(path.slice(0, -'.weight'.length));
  return new Map([...denseParts(model, nameOf)].filter(([path]) => !isPacked(path)));
}

function packedLayer(
  module: Module,
  weight: PackedTensor,
  activation: ActivationFormat | null,
): PackedLinear | PackedEmbedding {
  return isLinearLike(module)
    ? new PackedLinear(weight, { bias: module.bias, activation })
    : new PackedEmbedding(weight);
}

/** A packed embedding that is also the head: one matrix, two uses. */
function shareTiedHead(model: Model, activation: ActivationFormat | null): void {
  const tie = model.ties.find(({ source }) => source === 'embed.weight');
  if (!tie) return;
  const embed = model.module('embed');
  if (embed instanceof PackedEmbedding)
    model.replace(tie.path.replace(/\.weight$/, ''), new PackedLinear(embed.weight, { activation }));
}

/** Rows and columns of a module that is a matrix. */
export function matrixShape(module: Module): [number, number] | null {
  if (isLinearLike(module)) return [module.outFeatures, module.inFeatures];
  const embedding = module as Partial<EmbeddingLike>;
  return embedding.vocabularySize && embedding.size ? [embedding.vocabularySize, embedding.size] : null;
}

/** Matrices are cast where they are used; what changes on the way from the file is f32 before it is rounded. */
function keptDType(
  path: string,
  { shape, isOfStack }: DensePart,
  stored: FloatDType,
  { rowOrder, restore }: WeightSource,
): FloatDType {
  return shape.length === 2 && !isOfStack && !rowOrder?.(path, shape[0]) && !restore ? stored : 'f32';
}

async function readDense(
  path: string,
  { shape }: DensePart,
  {
    source,
    tensors,
    dtype,
  }: { readonly source: WeightSource; readonly tensors: StoredTensors; readonly dtype: FloatDType },
): Promise<Tensor> {
  const name = source.nameOf(path) as string;
  const stored = tensorDTypes[tensors.entryOf(name).dtype] as FloatDType;
  const order = source.rowOrder?.(path, shape[0]);
  const read = order
    ? await tensors.reordered(name, shape, stored, order)
    : await tensors.tensor(name, shape, stored);
  return scope(() =>
    noGrad(() => {
      const values = read.cast(dtype);
      return source.restore?.(path, values) ?? values;
    }),
  );
}
