import { concat, klDivergence, noGrad, PackedTensor, scope } from '@frugal/tensor-core';
import {
  type ActivationFormat,
  type CausalLM,
  Linear,
  type LinearLike,
  PackedLinear,
  stepBatch,
} from '@frugal/tensor-core/nn';
import type { AdaptedLinear } from '../adapted-linear.js';
import type { AdapterSet } from '../adapter-set.js';
import { denseDType, isTied, writeWeight } from '../dense-weight.js';
import { AdapterError, LostTuningError } from '../errors.js';

export interface PackedMergeOptions {
  /** Token sequences on which the effect of the adapter is measured: text like that it was trained on. */
  readonly sequences: readonly ArrayLike<number>[];
  /** Packed format of the merged layers. Default: that of each base. */
  readonly format?: string;
  /** The share of the effect that must be kept. Default 0.8. */
  readonly minimum?: number;
}

export interface MergeMeasurement {
  /** Share of the adapter's effect that is kept: 1 - KL(adapted ‖ merged) / KL(adapted ‖ base). Below 0: further off than the base. */
  readonly kept: number;
  /** Mean KL of the base from the adapted model, in nats per token: the effect of the adapter. */
  readonly effect: number;
  /** Mean KL of the merged from the adapted model. */
  readonly loss: number;
  readonly tokens: number;
}

/** Rows of logits that are compared at a time. */
const ROWS = 64;

/**
 * Merges adapters into packed weights, which are rounded anew: small changes may vanish in the rounding. So what the merged
 * model predicts is compared with what the adapted one does, and a merge that loses the tuning is refused, with the model as
 * it was. Dense layers are merged as they are. Afterwards the adapters are gone.
 * @throws LostTuningError when less than `minimum` of the effect is kept
 */
export async function mergePacked(
  model: CausalLM,
  set: AdapterSet,
  { sequences, format, minimum = 0.8 }: PackedMergeOptions,
): Promise<MergeMeasurement> {
  const states = new MergeStates(model, set);
  try {
    for (const [path, layer] of set.layers)
      states.merged.set(path, await mergedLayer(model, path, layer, format));
    const measurement = await measure(states, sequences);
    if (!(measurement.kept >= minimum)) throw new LostTuningError(measurement, minimum);
    states.commit();
    return measurement;
  } catch (error) {
    states.enter('adapted');
    for (const layer of states.merged.values()) disposeWeight(layer);
    throw error;
  }
}

/** The dense or packed layer that takes the place of an adapted one. */
async function mergedLayer(
  model: CausalLM,
  path: string,
  layer: AdaptedLinear,
  wanted: string | undefined,
): Promise<Linear | PackedLinear> {
  const { base, bias } = layer;
  const dtype = denseDType(model, path, base);
  const weight = noGrad(() => scope(() => layer.effectiveWeight().cast(dtype ?? 'f32')));
  if (dtype) return new Linear(weight, bias?.value.copy() ?? null);
  if (!(base instanceof PackedLinear))
    throw new AdapterError('mergePacked', [`${path} is neither dense nor packed`], 'Fold its mask first.');
  const format = wanted ?? base.weight.format;
  const packed = PackedTensor.pack(format, await weight.toFloat32(), base.weight.shape, weight.backend);
  weight.dispose();
  const activation = format === base.weight.format ? base.activation : suited(packed);
  return new PackedLinear(packed.prepare(), { bias, activation });
}

function suited({ recommendedActivation }: PackedTensor): ActivationFormat | null {
  return recommendedActivation === 'none' ? null : recommendedActivation;
}

type State = 'base' | 'adapted' | 'merged';

/** One model in three states, between which layers are swapped. */
class MergeStates {
  readonly merged = new Map<string, Linear | PackedLinear>();

  constructor(
    readonly model: CausalLM,
    private readonly set: AdapterSet,
  ) {}

  enter(state: State, prefix = ''): void {
    for (const [path, layer] of this.set.layers) {
      if (!path.startsWith(prefix)) continue;
      const merged = this.merged.get(path) ?? layer;
      this.model.replace(path, state === 'adapted' ? layer : state === 'base' ? layer.base : merged);
    }
  }

  /**
   * Leaves the merged weights in place; dense ones stay where they were, experts in their stack. A tied head gets a matrix of
   * its own: the embedding keeps the one that both had.
   */
  commit(): void {
    const bases = new Map([...this.set.layers].map(([path, { base }]) => [path, base]));
    this.enter('adapted');
    this.set.detach();
    for (const [path, layer] of this.merged) {
      const base = bases.get(path) as LinearLike;
      const tied = isTied(this.model, path);
      if (tied || layer instanceof PackedLinear) {
        this.model.replace(path, layer);
        if (!tied) disposeWeight(base);
      } else {
        noGrad(() => scope(() => writeWeight(this.model, path, base, layer.weight.value)));
        disposeWeight(layer);
      }
    }
  }
}

async function measure(
  states: MergeStates,
  sequences: readonly ArrayLike<number>[],
): Promise<MergeMeasurement> {
  const sums = { effect: 0, loss: 0, tokens: 0 };
  for (const sequence of sequences) {
    const hidden = (state: State) => {
      states.enter(state);
      const { vocabularySize } = states.model;
      return noGrad(() =>
        scope(() => states.model.forward(stepBatch([sequence], { vocabularySize })).hidden),
      );
    };
    const all = { base: hidden('base'), merged: hidden('merged'), adapted: hidden('adapted') };
    for (let start = 0; start < sequence.length; start += ROWS) {
      const logits = (state: State) => {
        states.enter(state, 'head');
        return states.model.head.forward(all[state].slice(0, start, Math.min(sequence.length, start + ROWS)));
      };
      const divergences = noGrad(() =>
        scope(() => {
          const adapted = logits('adapted');
          const from = (state: State) => klDivergence(logits(state), adapted).sum().reshape(1);
          return concat([from('base'), from('merged')]);
        }),
      );
      const [effect, loss] = await divergences.toFloat32();
      divergences.dispose();
      sums.effect += effect;
      sums.loss += loss;
    }
    states.enter('adapted');
    sums.tokens += sequence.length;
    for (const each of Object.values(all)) each.dispose();
  }
  const { effect, loss, tokens } = sums;
  // An adapter that changes nothing loses nothing.
  const kept = effect === 0 ? (loss === 0 ? 1 : 0) : 1 - loss / effect;
  return { kept, effect: effect / tokens, loss: loss / tokens, tokens };
}

function disposeWeight(layer: LinearLike): void {
  if (layer instanceof PackedLinear) layer.weight.dispose();
  else if (layer instanceof Linear) layer.weight.value.dispose();
}
