import {
  type Manifest,
  type TensorInput,
  type WriteCheckpointOptions,
  writeCheckpoint,
} from '@frugal/checkpoint';
import { ArgumentError, type DType, type Tensor } from '@frugal/tensor-core';
import type { Model, ModelConfig } from '@frugal/tensor-core/nn';
import { type NameMap, toTheirs } from './families/family.js';
import { layoutOf, linearLayers, packedWeight, quantizationConfig } from './quantized-layout.js';
import { anyFamilyOf, namesOf } from './registry.js';
import { type DensePart, denseParts } from './weights/dense-parts.js';

export interface SaveModelOptions extends WriteCheckpointOptions {
  /** tokenizer.json and what belongs to it, by file name. */
  readonly tokenizerFiles?: Readonly<Record<string, string | Uint8Array>>;
  readonly manifest?: Manifest;
  readonly generationConfig?: object;
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

/** Writes a model as a Hugging Face directory that transformers (and vLLM, when packed) opens; atomically. */
export async function saveModel(model: Model, path: string, options: SaveModelOptions = {}): Promise<void> {
  const { tokenizerFiles, manifest, generationConfig, ...writeOptions } = options;
  const config = { ...savedConfig(model), torch_dtype: torchDType(model) };
  await writeCheckpoint(
    path,
    { config, tensors: modelTensors(model), tokenizerFiles, manifest, generationConfig },
    writeOptions,
  );
}

/** All tensors of a model under their Hugging Face names, in the order of its modules; tied ones once. */
export function modelTensors(model: Model): TensorInput[] {
  const names = namesOf(model.config);
  const tensors: TensorInput[] = [];
  for (const [path, part] of denseParts(model, (ours) => toTheirs(names, ours)))
    tensors.push(storedPart(theirName(names, path), part));
  const seen = new Set<unknown>();
  for (const [path, module] of model.namedModules()) {
    const weight = packedWeight(module);
    if (!weight || seen.has(weight)) continue;
    seen.add(weight);
    const base = theirName(names, path);
    layoutOf(weight.format)
      .parts(...weight.shape)
      .forEach(({ suffix, shape }, i) => {
        tensors.push({ ...stored(`${base}.${suffix}`, weight.parts[i]), shape });
      });
  }
  return tensors;
}

function stored(name: string, tensor: Tensor): TensorInput {
  return { name, dtype: storedDType[tensor.dtype], shape: tensor.shape, bytes: () => tensor.bytes() };
}

/** Handles of experts are views of their stack: each is made when its bytes are wanted. */
function storedPart(name: string, { shape, current }: DensePart): TensorInput {
  const handle = current();
  const dtype = storedDType[handle.dtype];
  handle.dispose();
  const bytes = async () => {
    const value = current();
    try {
      return await value.bytes();
    } finally {
      value.dispose();
    }
  };
  return { name, dtype, shape, bytes };
}

function theirName(names: NameMap, path: string): string {
  const name = toTheirs(names, path);
  if (name !== undefined) return name;
  throw new ArgumentError({
    where: 'saveModel',
    what: 'a parameter has no place in the Hugging Face layout of this model',
    got: path,
    hint: 'Merge adapters and fold masks before saving.',
  });
}

function savedConfig(model: Model): ModelConfig {
  const { packed, dense } = linearLayers(model);
  const names = namesOf(model.config);
  // `dtype` is the newer name of `torch_dtype`, and would contradict it.
  const { quantization_config: _, dtype: __, ...config } = model.config;
  const named = new Map([...packed].map(([path, layer]) => [theirName(names, path), layer]));
  const quantization = quantizationConfig(
    named,
    dense.map((path) => theirName(names, path)),
  );
  return {
    model_type: anyFamilyOf(model.config).modelType,
    ...config,
    ...(isUntied(model) && { tie_word_embeddings: false }),
    ...(quantization && { quantization_config: quantization }),
  };
}

/** Whether an edit gave a declared tie two weights: a reader that ties them would drop one. */
function isUntied(model: Model): boolean {
  const weightAt = (path: string) =>
    (model.module(path.slice(0, path.lastIndexOf('.'))) as { weight?: unknown }).weight;
  return model.ties.some(({ path, source }) => weightAt(path) !== weightAt(source));
}

function torchDType(model: Model): string {
  const dtype = model.parameters()[0]?.value.dtype ?? 'f32';
  return { f32: 'float32', bf16: 'bfloat16', f16: 'float16' }[dtype as 'f32' | 'bf16' | 'f16'] ?? 'float32';
}
