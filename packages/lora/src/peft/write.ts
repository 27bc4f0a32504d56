import {
  MANIFEST_FILE,
  type Manifest,
  saveDirectory,
  type TensorInput,
  tensorInput,
} from '@frugal/checkpoint';
import type { Tensor } from '@frugal/tensor-core';
import type { ModuleNames } from '@frugal/tensor-core/nn';
import type { AdaptedLinear } from '../adapted-linear.js';
import type { AdapterSet } from '../adapter-set.js';
import { scaleOf } from '../attach.js';
import { AdapterError } from '../errors.js';
import { CONFIG_FILE, type Part, PREFIX, parts, WEIGHTS_FILE } from './layout.js';

export interface SaveAdapterOptions {
  readonly names: ModuleNames;
  /** What the config calls the base model. Default: nothing. */
  readonly baseModel?: string;
  /** How the adapter came to be, as `frugal.json` beside it. */
  readonly manifest?: Manifest;
}

/** Writes adapters as a directory that PEFT opens, in f32 and atomically. Experts get the names that a tensor of each expert would have. */
export async function saveAdapter(
  { layers, rankStabilized }: AdapterSet,
  directory: string,
  { names, baseModel, manifest }: SaveAdapterOptions,
): Promise<void> {
  const named = new Map<string, AdaptedLinear>();
  const nameless: string[] = [];
  for (const [path, layer] of layers) {
    const name = names.toTheirs(path);
    if (name === undefined) nameless.push(`${path} has no name in the Hugging Face layout`);
    else named.set(name, layer);
  }
  if (nameless.length > 0) throw new AdapterError('saveAdapter', nameless);
  const config = { ...peftConfig(named, rankStabilized), base_model_name_or_path: baseModel ?? null };
  const tensors = await tensorsOf(named);
  await saveDirectory(directory, async (staging) => {
    await staging.writeTensors(WEIGHTS_FILE, tensors, { metadata: { format: 'pt' } });
    await staging.writeJson(CONFIG_FILE, config);
    if (manifest) await staging.writeJson(MANIFEST_FILE, manifest);
  });
}

async function tensorsOf(named: ReadonlyMap<string, AdaptedLinear>) {
  const tensors: TensorInput[] = [];
  for (const [name, layer] of named) {
    const add = async (part: Part, value: Tensor) =>
      tensors.push(
        tensorInput(`${PREFIX}${name}${parts[part]}`, 'F32', value.shape, await value.toFloat32()),
      );
    const { down, up } = layer.plainParts();
    await add('down', down);
    await add('up', up);
    for (const value of [down, up]) value.dispose();
    if (layer.magnitude) await add('magnitude', layer.magnitude.value);
  }
  return tensors;
}

function peftConfig(named: ReadonlyMap<string, AdaptedLinear>, rankStabilized: boolean) {
  const [first] = named.values();
  const alphaOf = ({ scale, plainRank }: AdaptedLinear) =>
    tidy(scale / scaleOf(1, plainRank, rankStabilized));
  const others = (value: (layer: AdaptedLinear) => number) =>
    Object.fromEntries(
      [...named]
        .filter(([, each]) => value(each) !== value(first))
        .map(([name, each]) => [name, value(each)]),
    );
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: first.plainRank,
    lora_alpha: alphaOf(first),
    rank_pattern: others(({ plainRank }) => plainRank),
    alpha_pattern: others(alphaOf),
    use_rslora: rankStabilized,
    use_dora: first.magnitude !== null,
    target_modules: [...named.keys()],
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_dropout: 0,
    modules_to_save: null,
  };
}

/** Without what dividing and multiplying again left behind: 6, not 6.000000000000001. */
function tidy(value: number): number {
  return Number(value.toPrecision(12));
}
