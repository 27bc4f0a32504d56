import {
  layoutProblems,
  layoutSafetensors,
  type Manifest,
  type PackedMatrix,
  type PackedShape,
  type QuantizedLayoutName,
  storeQuantized,
  type TensorInput,
  type WriteCheckpointOptions,
  writeCheckpoint,
} from '@frugal/checkpoint';
import { ArgumentError, type DType, type FloatDType, tensorPieces } from '@frugal/tensor-core';
import { anyLength, type PackedActivation, packedFormat } from '@frugal/tensor-core/formats';
import { type CausalLM, isLinearLike, type Model } from '@frugal/tensor-core/nn';
import { type NameMap, toTheirs } from './families/family.js';
import { matrixShape } from './load.js';
import { denseLayers, packedMatrices } from './quantized-layout.js';
import { anyFamilyOf, namesOf } from './registry.js';
import { type DensePart, denseParts } from './weights/dense-parts.js';

export interface SaveModelOptions extends WriteCheckpointOptions {
  /** tokenizer.json and what else belongs to the model, by file name: `readCompanionFiles` of checkpoint reads them. */
  readonly tokenizerFiles?: Readonly<Record<string, string | Uint8Array>>;
  readonly manifest?: Manifest;
  readonly generationConfig?: object;
  /** Any other files, by name, such as a report: there with the weights or not at all. */
  readonly extraFiles?: Readonly<Record<string, string | Uint8Array>>;
  /**
   * How packed matrices are stored: `compressed-tensors` (read by transformers and vLLM), `bitsandbytes` (NF4 alone), or
   * `frugal`, which holds every format and is refused by other tools. Default: the first that holds all of them. Only when
   * asked for: `gptq` and `awq` (read by vLLM and transformers), and `ascend` (int8, read by vLLM Ascend).
   */
  readonly layout?: QuantizedLayoutName | undefined;
  /** What parameters that are not packed are stored in; buffers stay. Default: what they have in memory. */
  readonly dtype?: FloatDType | undefined;
}

const storedDType: Record<DType, TensorInput['dtype']> = {
  f32: 'F32',
  bf16: 'BF16',
  f16: 'F16',
  i8: 'I8',
  u8: 'U8',
  i32: 'I32',
  bool: 'BOOL',
};

/**
 * Writes a model as a Hugging Face directory, atomically. transformers opens it; packed models that compressed-tensors or
 * bitsandbytes can describe are opened by those that read these (vLLM); others by us alone, see {@link SaveModelOptions.layout}.
 */
export async function saveModel(model: Model, path: string, options: SaveModelOptions = {}): Promise<void> {
  const { tokenizerFiles, manifest, generationConfig, extraFiles, layout, dtype, ...writeOptions } = options;
  const { config, tensors, files } = storedModel(model, layout, dtype);
  const { cacheDType } = model as Partial<CausalLM>;
  const contents = {
    config,
    tensors,
    tokenizerFiles,
    manifest: cacheDType ? { version: 1 as const, ...manifest, cache: { dtype: cacheDType } } : manifest,
    generationConfig,
    extraFiles: { ...extraFiles, ...files },
  };
  await writeCheckpoint(path, contents, writeOptions);
}

/** All tensors of a model under their Hugging Face names, in the order of its modules, packed ones last; tied ones once. */
export function modelTensors(model: Model): TensorInput[] {
  return storedModel(model).tensors;
}

/** A packed layer that is yet to be made. */
export interface PlannedLayer {
  readonly format: string;
  readonly activation: PackedActivation;
  /** Modules that will use the same matrix. */
  readonly sharedWith: readonly string[];
}

/**
 * Why {@link saveModel} could not write a model once the layers at `planned` are packed: known before any work. Empty when it
 * can.
 */
export function savingProblems(
  model: Model,
  planned: ReadonlyMap<string, PlannedLayer> = new Map(),
  layout: QuantizedLayoutName = 'frugal',
): string[] {
  const names = namesOf(model.config);
  const nameOf = (path: string) => toTheirs(names, path) ?? path;
  const unnamed = [...denseParts(model, (path) => toTheirs(names, path)).keys()].filter(
    (path) => toTheirs(names, path) === undefined,
  );
  const nameless = [...wrappedLayers(model), ...unnamed].map(
    (path) => `${path} has no place in the Hugging Face layout of this model: merge adapters and fold masks`,
  );
  const matrices = matricesAfter(model, planned, nameOf);
  return [...nameless, ...layoutProblems(layout, matrices).map((problem) => `layout ${layout}: ${problem}`)];
}

/** The packed matrices that a model will have once the layers at `planned` are packed; those of planned ones have no bytes. */
function matricesAfter(
  model: Model,
  planned: ReadonlyMap<string, PlannedLayer>,
  nameOf: (path: string) => string,
): PackedMatrix[] {
  const gone = new Set([...planned.keys()].map(nameOf));
  const kept = packedMatrices(model, nameOf).filter(({ modules }) => !modules.some((name) => gone.has(name)));
  const places = new Map([...model.namedModules()].map(([path], i) => [path, i]));
  const added = [...planned].flatMap(([path, layer]): PackedMatrix[] => {
    const shape = matrixShape(model.module(path));
    if (!shape) return [];
    // In the order of the model, as packedMatrices will find them: the first one names the tensors.
    const paths = [path, ...layer.sharedWith].sort((a, b) => (places.get(a) ?? 0) - (places.get(b) ?? 0));
    const modules = paths.map(nameOf) as [string, ...string[]];
    return [{ ...layer, shape, modules, isEmbedding: layer.sharedWith.length > 0, parts: [] }];
  });
  return [...kept, ...added];
}

/**
 * Bytes of the safetensors file that {@link saveModel} would write, without its settings, once the layers at `planned` are
 * packed: known before any work. Formats whose size depends on the values are taken at their largest.
 */
export function savedBytes(
  model: Model,
  planned: ReadonlyMap<string, PlannedLayer> = new Map(),
  layout?: QuantizedLayoutName,
  dtype?: FloatDType,
): number {
  const names = namesOf(model.config);
  const nameOf = (path: string) => theirName(names, path);
  const gone = new Set([...planned].flatMap(([path, { sharedWith }]) => [path, ...sharedWith]));
  const dense = [...denseParts(model, (ours) => toTheirs(names, ours))]
    .filter(([path]) => !(path.endsWith('.weight') && gone.has(path.slice(0, -'.weight'.length))))
    .map(([path, part]) => storedPart(nameOf(path), part, dtype));
  const packed = matricesAfter(model, planned, nameOf).map((matrix) =>
    matrix.parts.length > 0 ? matrix : { ...matrix, parts: plannedParts(matrix) },
  );
  const quantized = packed.length > 0 ? storeQuantized(packed, [], layout).tensors : [];
  return layoutSafetensors([...dense, ...quantized], { format: 'pt' }).byteLength;
}

function plannedParts({ format, shape }: PackedShape): PackedMatrix['parts'] {
  const [rows, columns] = shape;
  return packedFormat(format)
    .parts(rows, columns)
    .map((part) => ({
      ...part,
      shape: part.shape.map((size) => (size === anyLength ? rows * columns : size)),
      bytes: () => Promise.reject(new Error(`${format} is only planned`)),
    }));
}

function storedModel(model: Model, layout?: QuantizedLayoutName, dtype?: FloatDType) {
  const names = namesOf(model.config);
  const nameOf = (path: string) => theirName(names, path);
  for (const path of wrappedLayers(model)) throw noPlace(path);
  const tensors = [...denseParts(model, (ours) => toTheirs(names, ours))].map(([path, part]) =>
    storedPart(nameOf(path), part, dtype),
  );
  const packed = packedMatrices(model, nameOf);
  const denseTensors = tensors.map(({ name }) => name);
  const quantized =
    packed.length > 0 ? storeQuantized(packed, denseLayers(model).map(nameOf), layout, denseTensors) : null;
  // `dtype` is the newer name of `torch_dtype`, and would contradict it.
  const { quantization_config: _, dtype: __, ...config } = model.config;
  return {
    config: {
      model_type: anyFamilyOf(config).modelType,
      ...config,
      ...(isUntied(model) && { tie_word_embeddings: false }),
      ...(quantized && { quantization_config: quantized.settings }),
      torch_dtype: torchDTypes[dtype ?? dtypeOf(model)],
    },
    tensors: [...tensors, ...(quantized?.tensors ?? [])],
    files: quantized?.files ?? {},
  };
}

/** Handles of experts are views of their stack: each is made when its bytes are wanted. */
function storedPart(name: string, { shape, isBuffer, current }: DensePart, wanted?: FloatDType): TensorInput {
  const own = current();
  const dtype = isBuffer ? own.dtype : (wanted ?? own.dtype);
  own.dispose();
  return { name, dtype: storedDType[dtype], shape, bytes: () => tensorPieces(current(), dtype) };
}

function theirName(names: NameMap, path: string): string {
  const name = toTheirs(names, path);
  if (name !== undefined) return name;
  throw noPlace(path);
}

/** Layers with an adapter or a mask around them: the parts have paths below the layer's own. */
function wrappedLayers(model: Model): string[] {
  return [...model.namedModules()]
    .filter(([, module]) => isLinearLike(module) && module.base !== module)
    .map(([path]) => path);
}

function noPlace(path: string): ArgumentError {
  return new ArgumentError({
    where: 'saveModel',
    what: 'a parameter has no place in the Hugging Face layout of this model',
    got: path,
    hint: 'Merge adapters and fold masks before saving.',
  });
}

/** Whether an edit gave a declared tie two weights: a reader that ties them would drop one. */
function isUntied(model: Model): boolean {
  const weightAt = (path: string) =>
    (model.module(path.slice(0, path.lastIndexOf('.'))) as { weight?: unknown }).weight;
  return model.ties.some(({ path, source }) => weightAt(path) !== weightAt(source));
}

const torchDTypes: Readonly<Record<FloatDType, string>> = {
  f32: 'float32',
  bf16: 'bfloat16',
  f16: 'float16',
};

function dtypeOf(model: Model): FloatDType {
  const dtype = model.parameters()[0]?.value.dtype;
  return dtype === 'bf16' || dtype === 'f16' ? dtype : 'f32';
}
