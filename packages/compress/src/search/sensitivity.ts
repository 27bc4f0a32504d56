import { type CausalLM, isLinearLike } from '@frugal/tensor-core/nn';
import { CalibrationWalk } from '../calibration.js';
import { withEdits } from '../edit.js';
import type { Modifier } from '../modifier.js';
import { keepWeight } from '../output-error.js';
import { findSites } from '../site.js';
import type { StatName, StatsByPath } from '../statistics.js';
import { Divergence } from './divergence.js';
import type { Choice, SearchUnit } from './unit.js';

/** What was measured of one unit. */
export interface UnitSensitivity {
  /** Share of the squared output that changes, for each choice. */
  readonly errors: readonly number[];
  /** The choice with which the whole model ran, and how far its predictions moved, in nats. */
  readonly measured: number;
  readonly divergence: number;
}

export interface SensitivityOptions {
  readonly sequences: readonly ArrayLike<number>[];
  /** By target: measured earlier, not again. */
  readonly known: ReadonlyMap<string, UnitSensitivity>;
  readonly signal?: AbortSignal | undefined;
  onMeasured(target: string, sensitivity: UnitSensitivity): Promise<void>;
}

/**
 * Tries every choice of every unit alone, on the original model, block by block: the error of the layer's output on
 * calibration rows, tr(D G Dᵀ) / tr(W G Wᵀ), for each choice; and for the middle one also how far the predictions of the
 * model move. Small errors of a layer move predictions in proportion (linearity theorem, Malinovskii et al. 2024,
 * arXiv:2411.17525), so one run of the model per unit stands for all of its choices.
 * Stops early when the signal says so, with what is known by then.
 */
export async function measureSensitivity(
  model: CausalLM,
  units: readonly SearchUnit[],
  { sequences, known, signal, onMeasured }: SensitivityOptions,
): Promise<Map<string, UnitSensitivity>> {
  const result = new Map(known);
  if (units.every(({ target }) => result.has(target))) return result;
  const names = statsOf(units);
  const divergence = new Divergence(model, sequences);
  const walk = new CalibrationWalk(model, sequences);
  const measure = async (own: readonly SearchUnit[], stats: StatsByPath, index: number) => {
    for (const unit of own) {
      if (signal?.aborted || result.has(unit.target)) continue;
      const moved = () => (unit.isShared ? divergence.now() : divergence.after(walk, index));
      const sensitivity = await measureUnit(model, unit, stats, moved);
      result.set(unit.target, sensitivity);
      await onMeasured(unit.target, sensitivity);
    }
  };
  try {
    for (let index = 0; index <= model.blocks.length && !signal?.aborted; index++) {
      const isBlock = index < model.blocks.length;
      const own = units.filter(({ block }) => block === (isBlock ? index : null));
      if (own.some(({ target }) => !result.has(target))) {
        const stats = isBlock ? walk.observeBlock(index, names) : walk.observeHead(names);
        await measure(own, stats, index);
        stats.dispose();
      }
      if (isBlock) walk.advance(index);
    }
  } finally {
    walk.dispose();
    divergence.dispose();
  }
  return result;
}

/** Predicted divergence in nats for each choice of each unit. Units that were not measured are given the usual. */
export function predictedLosses(
  units: readonly SearchUnit[],
  sensitivity: ReadonlyMap<string, UnitSensitivity>,
): number[][] {
  // Halving the step of a grid quarters the squared error; the usual factor is the median of the measured units.
  const rough = ({ weights }: SearchUnit, { bytes }: Choice) => weights * 4 ** ((-8 * bytes) / weights);
  const factors = units.flatMap((unit) => {
    const known = sensitivity.get(unit.target);
    return known ? [known.divergence / rough(unit, unit.choices[known.measured])] : [];
  });
  const usual = factors.sort((a, b) => a - b)[Math.floor(factors.length / 2)] ?? 1;
  return units.map((unit) => {
    const known = sensitivity.get(unit.target);
    if (!known) {
      return unit.choices.map((choice) => (choice.modifiers.length === 0 ? 0 : usual * rough(unit, choice)));
    }
    const { errors, measured, divergence } = known;
    return errors.map((error) => (error === 0 ? 0 : (divergence * error) / errors[measured]));
  });
}

/** What the methods ask for, and the Gram matrix that errors are measured with. */
function statsOf(units: readonly SearchUnit[]): StatName[] {
  const modifiers = units.flatMap(({ choices }) => choices.flatMap((choice) => choice.modifiers));
  const asked = modifiers.flatMap(({ needs }) => [...(needs.stats ?? []), ...(needs.optionalStats ?? [])]);
  return [...new Set<StatName>(['gram', 'count', ...asked])];
}

async function measureUnit(
  model: CausalLM,
  unit: SearchUnit,
  stats: StatsByPath,
  moved: () => Promise<number>,
): Promise<UnitSensitivity> {
  const errors: number[] = [];
  {
    using meter = errorMeter(model, unit, stats);
    for (const choice of unit.choices) errors.push(await tryChoice(model, choice, stats, meter.error));
  }
  const measured = middle(errors);
  const divergence = errors[measured] > 0 ? await tryChoice(model, unit.choices[measured], stats, moved) : 0;
  return { errors, measured, divergence };
}

/** Index of the median of the errors that are not zero. */
function middle(errors: readonly number[]): number {
  const order = [...errors.keys()]
    .filter((i) => errors[i] > 0)
    .sort((a, b) => errors[a] - errors[b] || a - b);
  return order[Math.floor(order.length / 2)] ?? 0;
}

/** Mean over the unit's layers of the share of the output, or without calibration rows of the weights, that changed. */
function errorMeter(
  model: CausalLM,
  { paths }: SearchUnit,
  stats: StatsByPath,
): Disposable & { error(): Promise<number> } {
  const layerAt = (path: string) => {
    const module = model.module(path);
    if (isLinearLike(module)) return module;
    throw new TypeError(`${path} is no linear layer`);
  };
  const before = paths.map((path) => ({ path, change: keepWeight(layerAt(path)) }));
  return {
    async error() {
      let sum = 0;
      for (const { path, change } of before) {
        const { weightError = 0, outputError = weightError } = await change.compare(
          layerAt(path),
          stats.get(path).gram,
        );
        sum += outputError;
      }
      return sum / before.length;
    },
    [Symbol.dispose]() {
      for (const { change } of before) change[Symbol.dispose]();
    },
  };
}

/** Runs `use` while the choice is in place. */
function tryChoice(
  model: CausalLM,
  { modifiers }: Choice,
  stats: StatsByPath,
  use: () => Promise<number>,
): Promise<number> {
  const step = async ([first, ...rest]: readonly Modifier[]): Promise<number> => {
    if (!first) return use();
    const edits = [];
    for (const site of findSites(model, first.sites, first.spec.targets))
      edits.push(...((await first.apply?.(site, (path) => stats.get(path), model))?.edits ?? []));
    return withEdits(model, edits, () => step(rest));
  };
  return step(modifiers);
}
