import type { PackedActivation } from '@frugal/tensor-core/formats';
import type { TensorSource } from '../tensor-source.js';
import { codesMatrix } from './compressed-codes.js';
import { floatMatrix } from './compressed-floats.js';
import type { FindQuantized, QuantizedLayout, QuantizedMatrix, Settings } from './quantized-matrix.js';
import { SettingsReader } from './settings.js';

/** What one group of `config_groups` says. */
export interface WeightScheme {
  readonly bits: number;
  readonly type: 'int' | 'float';
  readonly symmetric: boolean;
  readonly strategy: 'tensor' | 'channel' | 'group' | 'block';
  /** Columns per scale, for `group`. */
  readonly groupSize: number;
  /** As the file says; left out where it says nothing. */
  readonly activation?: PackedActivation;
}

export type OpenMatrix = (
  base: string,
  shape: readonly [number, number],
  scheme: WeightScheme,
  source: TensorSource,
) => QuantizedMatrix;

/**
 * A member of ours that others ignore: by group, how activations are quantised where that is neither what
 * `input_activations` says nor what suits the format.
 */
export const ACTIVATIONS = 'frugal_activations';

interface Group {
  readonly targets: readonly string[];
  readonly scheme: WeightScheme;
}

/**
 * compressed-tensors (llm-compressor, vLLM): `pack-quantized` (integers in 32-bit words), `int-quantized` (int8) and
 * `float-quantized` (FP8 E4M3), each with scales per tensor, channel, group or block.
 */
export const compressedTensors: QuantizedLayout = {
  open(settings, source): FindQuantized {
    const reader = new SettingsReader(settings);
    const formats = [
      'pack-quantized',
      'int-quantized',
      'float-quantized',
      'naive-quantized',
      'mixed-precision',
    ];
    reader.oneOf('format', formats, 'pack-quantized');
    reader.oneOf('kv_cache_scheme', [null], null);
    reader.oneOf('quantization_status', ['compressed', 'frozen'], 'compressed');
    const notes = (settings[ACTIVATIONS] ?? {}) as Readonly<Record<string, PackedActivation>>;
    const groups = Object.entries((settings.config_groups ?? {}) as Record<string, Settings>).map(
      ([name, group]) => readGroup(group, name, notes),
    );
    return (base, shape) => {
      const has = (suffix: string) => source.entries.has(`${base}.${suffix}`);
      if (!has('weight_scale')) return null;
      const { scheme } = groupOf(groups, base) ?? groups[0];
      if (has('weight_packed') || scheme.type === 'int') return codesMatrix(base, shape, scheme, source);
      return floatMatrix(base, shape, scheme, source);
    };
  },
};

function readGroup(group: Settings, name: string, notes: Readonly<Record<string, PackedActivation>>): Group {
  const where = `quantization_config: ${name}`;
  const weights = new SettingsReader((group.weights ?? {}) as Settings, `${where}: weights`);
  const type = weights.oneOf('type', ['int', 'float'], 'int');
  const groupSize = (weights.settings.group_size as number | null | undefined) ?? -1;
  const strategy = weights.oneOf(
    'strategy',
    ['tensor', 'channel', 'group', 'block'],
    groupSize > 0 ? 'group' : 'channel',
  );
  const scheme: WeightScheme = {
    bits: weights.integer('num_bits', type === 'int' ? [2, 3, 4, 8] : [8]),
    type,
    symmetric: weights.oneOf('symmetric', [true, false], true),
    strategy,
    groupSize,
    ...activationOf(notes[name], group.input_activations as Settings | null | undefined),
  };
  if (type === 'float' && strategy === 'group')
    weights.refuse('strategy', 'tensor, channel or block for floats');
  if (strategy === 'block' && String(weights.settings.block_structure) !== '128,128')
    weights.refuse('block_structure', '[128, 128]');
  return { targets: (group.targets ?? []) as string[], scheme };
}

/** Dynamic int8 per token is done as the file says; other activation schemes are only less exact than none. */
function activationOf(
  note: PackedActivation | undefined,
  activations: Settings | null | undefined,
): Pick<WeightScheme, 'activation'> {
  if (note !== undefined) return { activation: note };
  const isInt8 =
    activations?.num_bits === 8 &&
    activations.type === 'int' &&
    activations.strategy === 'token' &&
    activations.symmetric === true &&
    activations.dynamic === true;
  return isInt8 ? { activation: 'int8' } : {};
}

/** Named modules come before the class that all of them have. */
function groupOf(groups: readonly Group[], base: string): Group | undefined {
  const names = (target: string) =>
    target.startsWith('re:') ? new RegExp(`^(?:${target.slice(3)})`).test(base) : target === base;
  return (
    groups.find(({ targets }) => targets.some(names)) ??
    groups.find(({ targets }) => targets.includes('Linear'))
  );
}
