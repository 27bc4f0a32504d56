import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openSafetensors, parseJsonObject, type TensorSource, toFloat32 } from '@frugal/checkpoint';
import { backendOf } from '@frugal/compress';
import { type Backend, type Tensor, tensor } from '@frugal/tensor-core';
import type { LinearLike, Module, ModuleNames } from '@frugal/tensor-core/nn';
import type { LowRank } from '../adapted-linear.js';
import type { AdapterSet } from '../adapter-set.js';
import { linearLayers, placeAdapters } from '../attach.js';
import { AdapterError } from '../errors.js';
import { type PeftConfig, readPeftConfig } from './config.js';
import { CONFIG_FILE, type Part, PREFIX, parts, WEIGHTS_FILE } from './layout.js';

/** The tensors of one layer, by part. */
type Stored = Partial<Record<Part, string>>;

/** An adapter that was read and is not attached yet. */
export interface ReadAdapter {
  /** By the path of the layer. The tensors are the caller's. */
  readonly adapters: Map<string, LowRank>;
  readonly rankStabilized: boolean;
}

/**
 * Attaches the adapter in a directory of PEFT (adapter_config.json, adapter_model.safetensors) to its base model.
 * @throws AdapterError with every setting, name and shape that does not fit; the model is unchanged then
 */
export async function loadAdapter(model: Module, directory: string, names: ModuleNames): Promise<AdapterSet> {
  const { adapters, rankStabilized } = await readAdapter(model, directory, names);
  return placeAdapters(model, adapters, rankStabilized);
}

/** Reads the adapter that {@link loadAdapter} would attach, by default onto the backend of each layer. @throws AdapterError likewise */
export async function readAdapter(
  model: Module,
  directory: string,
  names: ModuleNames,
  { backend }: { readonly backend?: Backend } = {},
): Promise<ReadAdapter> {
  const file = join(directory, CONFIG_FILE);
  const config = readPeftConfig(parseJsonObject(new Uint8Array(await readFile(file)), file));
  const source = await openSafetensors(join(directory, WEIGHTS_FILE));
  try {
    const problems = [...config.problems];
    const layers = linearLayers(model);
    const found = new Map<string, readonly [name: string, stored: Stored]>();
    for (const [name, stored] of storedLayers(source, problems)) {
      const path = names.toOurs(name);
      const layer = path === undefined ? undefined : layers.get(path);
      if (path === undefined || !layer) problems.push(`${name} is no linear layer of this model`);
      else {
        problems.push(...misfits(name, stored, layer, config, source));
        found.set(path, [name, stored]);
      }
    }
    if (source.entries.size === 0) problems.push('it holds no tensors');
    if (problems.length > 0)
      throw new AdapterError(directory, problems, 'Use the base model that the adapter was trained on.');
    const adapters = new Map<string, LowRank>();
    for (const [path, [name, stored]] of found)
      adapters.set(
        path,
        await readLayer(
          source,
          stored,
          config.scaleOf(name),
          backend ?? backendOf(layers.get(path) as LinearLike),
        ),
      );
    return { adapters, rankStabilized: config.rankStabilized };
  } finally {
    await source.close();
  }
}

function storedLayers(source: TensorSource, problems: string[]): Map<string, Stored> {
  const layers = new Map<string, Stored>();
  for (const tensorName of source.entries.keys()) {
    const part = (Object.keys(parts) as Part[]).find((each) => tensorName.endsWith(parts[each]));
    if (!part || !tensorName.startsWith(PREFIX)) {
      problems.push(`${tensorName} is no part of a LoRA layer`);
      continue;
    }
    const name = tensorName.slice(PREFIX.length, -parts[part].length);
    layers.set(name, { ...layers.get(name), [part]: tensorName });
  }
  return layers;
}

function misfits(
  name: string,
  stored: Stored,
  { inFeatures, outFeatures }: LinearLike,
  { rankOf, magnitudes }: PeftConfig,
  { entries }: TensorSource,
): string[] {
  const rank = rankOf(name);
  const expected: Partial<Record<Part, readonly number[]>> = {
    down: [rank, inFeatures],
    up: [outFeatures, rank],
    ...(magnitudes && { magnitude: [outFeatures] }),
  };
  return (Object.keys(parts) as Part[]).flatMap((part) => {
    const [tensorName, shape] = [stored[part], expected[part]];
    if (tensorName === undefined) return shape ? [`${name} lacks ${parts[part].slice(1)}`] : [];
    if (!shape) return [`${tensorName} is there although use_dora is false`];
    const got = entries.get(tensorName)?.shape;
    return String(got) === String(shape) ? [] : [`${tensorName} is [${got}], not [${shape}]`];
  });
}

async function readLayer(
  source: TensorSource,
  stored: Stored,
  scale: number,
  backend: Backend,
): Promise<LowRank> {
  const read = async (name: string): Promise<Tensor> => {
    const { dtype, shape } = source.entries.get(name)!;
    return tensor(toFloat32(await source.read(name), dtype), { shape, backend });
  };
  const { down, up, magnitude } = stored as Stored & Record<'down' | 'up', string>;
  return {
    down: await read(down),
    up: await read(up),
    scale,
    magnitude: magnitude ? await read(magnitude) : null,
  };
}
