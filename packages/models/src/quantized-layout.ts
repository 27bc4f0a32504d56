import type { TensorEntry } from '@frugal/checkpoint';
import { ArgumentError, formatShape, PackedTensor, sameShape, type Tensor } from '@frugal/tensor-core';
import { packedFormat } from '@frugal/tensor-core/formats';
import {
  type ActivationFormat,
  isLinearLike,
  type ModelConfig,
  type Module,
  PackedEmbedding,
  PackedLinear,
} from '@frugal/tensor-core/nn';
import { ModelConfigError } from './config-reader.js';
import type { StoredMatrix } from './weights/weight-source.js';

/** One stored tensor of a packed matrix: suffix after the module's name, and how the file sees it. */
interface StoredPart {
  readonly suffix: string;
  readonly dtype: 'I8' | 'F32';
  readonly shape: readonly number[];
}

/**
 * How a packed format lies in a safetensors file, and what config.json says of it, so that other tools read it too:
 * int8 per channel is compressed-tensors' `int-quantized` (vLLM's W8A8).
 */
interface QuantizedLayout {
  readonly format: string;
  parts(rows: number, columns: number): readonly StoredPart[];
}

const int8Channel: QuantizedLayout = {
  format: 'int8-channel',
  parts: (rows, columns) => [
    { suffix: 'weight', dtype: 'I8', shape: [rows, columns] },
    { suffix: 'weight_scale', dtype: 'F32', shape: [rows, 1] },
  ],
};

const layouts: readonly QuantizedLayout[] = [int8Channel];

export function layoutOf(format: string): QuantizedLayout {
  const layout = layouts.find((candidate) => candidate.format === format);
  if (layout) return layout;
  throw new ArgumentError({
    where: 'saveModel',
    what: 'this packed format has no safetensors layout',
    got: format,
    expected: layouts.map((candidate) => candidate.format).join(', '),
  });
}

/** The packed matrix of a module, or null for dense ones. */
export function packedWeight(module: Module): PackedTensor | null {
  return module instanceof PackedLinear || module instanceof PackedEmbedding ? module.weight : null;
}

/** config.json's `quantization_config` for a model with packed int8 layers, by their name in the file; `ignore` names the dense ones. */
export function quantizationConfig(
  packed: ReadonlyMap<string, PackedLinear>,
  ignore: readonly string[],
): ModelConfig | undefined {
  if (packed.size === 0) return undefined;
  const activations = [...new Set([...packed.values()].map(({ activation }) => activation))];
  const groups = activations.map((activation, i) => {
    const names = [...packed].filter(([, layer]) => layer.activation === activation).map(([name]) => name);
    return [`group_${i}`, groupOf(activation, activations.length === 1 ? ['Linear'] : names)];
  });
  return {
    ...fixed,
    quantization_status: 'compressed',
    global_compression_ratio: null,
    config_groups: Object.fromEntries(groups),
    ignore: [...ignore],
  };
}

/** What all our files say, and what we can read. */
const fixed = { quant_method: 'compressed-tensors', format: 'int-quantized', kv_cache_scheme: null };

interface Group {
  readonly targets: readonly string[];
  readonly weights: object;
  readonly input_activations: object | null;
}

function groupOf(activation: ActivationFormat | null, targets: readonly string[]): Group {
  return {
    targets,
    weights: { num_bits: 8, type: 'int', symmetric: true, strategy: 'channel', dynamic: false },
    input_activations: activation && {
      num_bits: 8,
      type: 'int',
      symmetric: true,
      strategy: 'token',
      dynamic: true,
    },
  };
}

/** How the packed layers of a file are to be read. */
export interface StoredQuantization {
  readonly format: string;
  /** How the activations of a layer are quantised, by its name in the file. */
  activationOf(name: string): ActivationFormat | null;
}

/** @throws ModelConfigError for quantisations that are not read here, naming the setting */
export function readQuantization(config: ModelConfig): StoredQuantization | null {
  const quantization = config.quantization_config as ModelConfig | null | undefined;
  if (!quantization) return null;
  requireSettings('quantization_config', quantization, fixed);
  const groups = Object.entries((quantization.config_groups ?? {}) as Record<string, Group>).map(
    ([name, group]) => {
      const activation = group.input_activations ? 'int8' : null;
      const { weights, input_activations } = groupOf(activation, []);
      const where = `quantization_config: ${name}`;
      requireSettings(`${where}: weights`, group.weights as ModelConfig, weights as ModelConfig);
      if (input_activations)
        requireSettings(
          `${where}: input_activations`,
          group.input_activations as ModelConfig,
          input_activations as ModelConfig,
        );
      return { targets: group.targets ?? [], activation } as const;
    },
  );
  return {
    format: 'int8-channel',
    activationOf(name) {
      const group =
        groups.find(({ targets }) => targets.includes(name)) ??
        groups.find(({ targets }) => targets.includes('Linear'));
      if (group) return group.activation;
      throw new ModelConfigError({
        where: 'config.json: quantization_config',
        what: 'no group says how this packed layer is used',
        got: name,
      });
    },
  };
}

function requireSettings(where: string, got: ModelConfig | undefined, expected: ModelConfig): void {
  for (const [name, value] of Object.entries(expected)) {
    if ((got?.[name] ?? null) === value) continue;
    throw new ModelConfigError({
      where: `config.json: ${where}`,
      what: `this quantisation cannot be read: ${name}`,
      got: JSON.stringify(got?.[name]) ?? 'nothing',
      expected: JSON.stringify(value),
    });
  }
}

/** The packed matrix that the tensors named after `base` hold; null when it is stored dense. */
export function storedMatrix(
  base: string,
  shape: readonly [number, number],
  quantization: StoredQuantization,
  entries: ReadonlyMap<string, TensorEntry>,
): StoredMatrix | null {
  if (!entries.has(`${base}.weight_scale`)) return null;
  const { format } = quantization;
  const parts = layoutOf(format).parts(...shape);
  const formatParts = packedFormat(format).parts(...shape);
  return {
    format,
    tensors: parts.map(({ suffix }) => `${base}.${suffix}`),
    activation: quantization.activationOf(base),
    problems: parts.flatMap((part) => partProblem(`${base}.${part.suffix}`, part, entries)),
    async load(tensors) {
      const loaded: Tensor[] = [];
      for (const [i, part] of parts.entries()) {
        const name = `${base}.${part.suffix}`;
        loaded.push(await tensors.tensor(name, formatParts[i].shape, formatParts[i].dtype));
      }
      return new PackedTensor(format, shape, loaded);
    },
  };
}

function partProblem(
  name: string,
  { dtype, shape }: StoredPart,
  entries: ReadonlyMap<string, TensorEntry>,
): string[] {
  const entry = entries.get(name);
  if (!entry) return [`missing ${name} ${dtype} ${formatShape(shape)}`];
  if (entry.dtype === dtype && sameShape(entry.shape, shape)) return [];
  return [
    `${name} is ${entry.dtype} ${formatShape(entry.shape)}, its format says ${dtype} ${formatShape(shape)}`,
  ];
}

/** Linear layers by path, dense ones for `ignore`. */
export function linearLayers(model: Module): { packed: Map<string, PackedLinear>; dense: string[] } {
  const packed = new Map<string, PackedLinear>();
  const dense: string[] = [];
  for (const [path, module] of model.namedModules()) {
    if (module instanceof PackedLinear) packed.set(path, module);
    else if (isLinearLike(module)) dense.push(path);
  }
  return { packed, dense };
}
