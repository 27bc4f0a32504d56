import { type CausalLM, modelBytes, type Score } from '@frugal/tensor-core/nn';
import { type CompressOptions, compress } from '../compress.js';
import { disposeModel } from '../edit.js';
import { CompressError } from '../errors.js';
import type { Recipe } from '../recipe.js';
import { fitLatency, fitLoss, fitSize, measuredBefore } from './fit.js';
import { type Allocation, Knapsack } from './knapsack.js';
import { type SearchOption, standardOptions } from './option.js';
import type { MeasuredCandidate, SearchState, SearchStore } from './search-store.js';
import type { StructureResult } from './search-structures.js';
import { searchedRecipe } from './searched-recipe.js';
import { measureSensitivity, predictedLosses } from './sensitivity.js';
import type { SearchStructure } from './structure.js';
import { type CheckpointSize, findUnits, type SearchUnit } from './unit.js';

/**
 * What a search has to reach: a size in bytes, a share by which the score may get worse (0.02: 2 %), or how long a new token
 * may take on this machine.
 */
export type SearchTarget =
  | { readonly kind: 'size'; readonly bytes: number }
  | { readonly kind: 'latency'; readonly seconds: number }
  | { readonly kind: 'loss'; readonly share: number };

export interface SearchOptions extends Pick<CompressOptions, 'methods' | 'storage' | 'rebuild'> {
  readonly calibration: readonly ArrayLike<number>[];
  /** What recipes are judged by, on text that calibration does not see. Lower and positive, as perplexity. */
  readonly score: Score;
  /** Seconds of a new token of one stream: what a limit of latency needs. */
  readonly latency?: ((model: CausalLM) => Promise<number>) | undefined;
  /** What there is to choose from; default: {@link standardOptions}. */
  readonly options?: readonly SearchOption[] | undefined;
  /** Smaller shapes that are tried beside the model as it is; default: none. */
  readonly structures?: readonly SearchStructure[] | undefined;
  /** Of one layout, so that what layers take adds up; default: what weights take in memory. */
  readonly size?: CheckpointSize | undefined;
  /** Calibration tokens that sensitivity is measured with; default 2048. */
  readonly probeTokens?: number;
  readonly seed?: number;
  readonly store?: SearchStore;
  /** Ends the search with the best so far. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (event: SearchProgress) => void;
}

export interface SearchProgress {
  readonly phase: 'sensitivity' | 'candidate';
  readonly done: number;
  readonly total: number;
  readonly note: string;
}

/** Size and loss of a way to choose. */
export interface SearchPoint {
  /** Of the checkpoint. */
  readonly bytes: number;
  /** Predicted divergence from the original, in nats. */
  readonly predicted: number;
}

export interface SearchResult {
  readonly recipe: Recipe;
  /** What was chosen for each layer, in the order of the model. */
  readonly choices: readonly { readonly target: string; readonly option: string; readonly bytes: number }[];
  readonly chosen: SearchPoint;
  /** Where several structures were tried: the one that was chosen, and what came of each. */
  readonly structure?: string;
  readonly structures?: readonly StructureResult[];
  /** The best that can be had at each size, as predicted. */
  readonly frontier: readonly SearchPoint[];
  /** The same option for every layer that can take it, as predicted. */
  readonly uniform: readonly (SearchPoint & { readonly option: string })[];
  /** Recipes that were run, with their scores. */
  readonly candidates: readonly (SearchPoint & {
    readonly score: number;
    readonly latency?: number;
  })[];
  readonly scoreBefore: number;
  /** Whether the signal ended it. */
  readonly interrupted: boolean;
}

const FRONTIER_POINTS = 16;
/** Tokens of a sequence that sensitivity is measured with. */
const PROBE_LENGTH = 256;

/** The search for one model: every layer keeps its shape. */
export class Search {
  private readonly units: readonly SearchUnit[];
  private state: SearchState;

  constructor(
    private readonly open: () => Promise<CausalLM>,
    private readonly model: CausalLM,
    private readonly options: SearchOptions,
    /** Whether a model that reaches the target as it is counts as found. */
    private readonly mayStay = false,
  ) {
    const { options: asked = standardOptions(model), methods, storage, size } = options;
    this.state = options.store?.state ?? { sensitivity: {}, candidates: [] };
    this.units = findUnits(model, { options: asked, methods, storage, size });
    if (this.units.some(({ choices }) => choices.some(({ modifiers }) => modifiers.length > 0))) return;
    throw new CompressError({
      where: 'search',
      what: 'no layer can be changed',
      hint: 'Layers that are packed already stay as they are: convert the model to bf16 first.',
    });
  }

  async run(target: SearchTarget): Promise<SearchResult> {
    const { units, options } = this;
    const scoreBefore = await this.scoreBefore();
    const losses = await this.predict();
    const priced = units.map(({ choices }, u) =>
      choices.map(({ bytes }, c) => ({ bytes, loss: losses[u][c] })),
    );
    const knapsack = new Knapsack(priced);
    const chosen = await this.choose(knapsack, target, scoreBefore);
    const recipe = searchedRecipe(units, chosen.picks, options.seed ?? 0);
    return {
      recipe,
      choices: units.map(({ target, choices }, u) => {
        const { option, bytes } = choices[chosen.picks[u]];
        return { target, option: option.name, bytes };
      }),
      chosen: this.point(chosen),
      frontier: knapsack.frontier(FRONTIER_POINTS).map((allocation) => this.point(allocation)),
      uniform: this.uniform(knapsack),
      candidates: this.state.candidates.map(({ picks: _, ...measured }) => measured),
      scoreBefore,
      interrupted: options.signal?.aborted ?? false,
    };
  }

  private async choose(knapsack: Knapsack, target: SearchTarget, scoreBefore: number): Promise<Allocation> {
    if (target.kind === 'size') return this.bySize(knapsack, target.bytes);
    if (target.kind === 'loss') return this.byLoss(knapsack, target.share, scoreBefore);
    return this.byLatency(knapsack, target.seconds);
  }

  private async byLatency(knapsack: Knapsack, limit: number): Promise<Allocation> {
    if (!this.options.latency) {
      throw new CompressError({
        where: 'search',
        what: 'nobody measures how long a token takes',
        hint: 'Pass latency.',
      });
    }
    const chosen = await fitLatency(knapsack, limit, async (allocation) => {
      return (await this.measure(allocation))?.latency ?? null;
    });
    const milliseconds = (seconds: number) => `${(1000 * seconds).toFixed(2)} ms`;
    if (chosen && !this.changes(chosen)) {
      throw new CompressError({
        where: 'search',
        what: 'the model is as fast as that as it is',
        got: milliseconds(limit),
      });
    }
    if (chosen) return chosen;
    const measured = this.state.candidates.map(({ latency = 0 }) => milliseconds(latency));
    throw new CompressError({
      where: 'search',
      what: this.options.signal?.aborted
        ? 'stopped before any recipe within the limit was found'
        : 'no choice of formats is that fast',
      got:
        measured.length > 0 ? `recipes whose tokens take ${measured.join(', ')}` : 'no recipe that was run',
      expected: `at most ${milliseconds(limit)}`,
      hint: 'Allow more, or remove layers or neurons first.',
    });
  }

  private bySize(knapsack: Knapsack, bytes: number): Allocation {
    const chosen = fitSize(knapsack, (allocation) => this.sizeOf(allocation), bytes);
    if (this.changes(chosen)) return chosen;
    throw new CompressError({
      where: 'search',
      what: 'the model is not larger than that as it is',
      got: `${bytes} bytes`,
      expected: `less than ${this.sizeOf(chosen)} bytes`,
    });
  }

  private async byLoss(knapsack: Knapsack, share: number, scoreBefore: number): Promise<Allocation> {
    const limit = Math.log1p(share);
    const chosen = await fitLoss(knapsack, limit, async (allocation) => {
      const measured = await this.measure(allocation);
      return measured && Math.log(measured.score / scoreBefore);
    });
    if (chosen && this.changes(chosen)) return chosen;
    const measured = this.state.candidates.map(
      ({ score }) => `${((score / scoreBefore - 1) * 100).toFixed(2)} %`,
    );
    throw new CompressError({
      where: 'search',
      what: this.options.signal?.aborted
        ? 'stopped before any recipe within the limit was found'
        : 'no recipe stays within the limit',
      got: measured.length > 0 ? `recipes that lose ${measured.join(', ')}` : 'no recipe that was run',
      expected: `at most ${share * 100} %`,
      hint: 'Allow more, or go on with --resume.',
    });
  }

  private async scoreBefore(): Promise<number> {
    const before = this.state.scoreBefore ?? (await this.options.score.evaluate(this.model));
    await this.keep({ scoreBefore: before });
    return before;
  }

  /** Losses for each choice of each unit. */
  private async predict(): Promise<number[][]> {
    const { units, options } = this;
    const { calibration, probeTokens = 2048, signal, onProgress } = options;
    const known = new Map(Object.entries(this.state.sensitivity));
    const sensitivity = await measureSensitivity(this.model, units, {
      sequences: firstTokens(calibration, probeTokens),
      known,
      signal,
      onMeasured: async (target, measured) => {
        await this.keep({ sensitivity: { ...this.state.sensitivity, [target]: measured } });
        const done = Object.keys(this.state.sensitivity).length;
        onProgress?.({ phase: 'sensitivity', done, total: units.length, note: target });
      },
    });
    return predictedLosses(units, sensitivity);
  }

  /** Runs the recipe of an allocation; null when interrupted. */
  private async measure(allocation: Allocation): Promise<MeasuredCandidate | null> {
    const { methods, calibration, storage, rebuild, score, latency, signal, onProgress } = this.options;
    const known = measuredBefore(this.state.candidates, allocation);
    if (known) return known;
    if (signal?.aborted) return null;
    const recipe = this.recipeOf(allocation);
    const note = `recipe ${this.state.candidates.length + 1}`;
    const original = await this.open();
    let changed = original;
    try {
      if (recipe.stages.length > 0) {
        const done = await compress(original, recipe, {
          methods,
          calibration,
          ...(storage && { storage }),
          ...(rebuild && { rebuild }),
          signal,
          onProgress: ({ done, total }) => onProgress?.({ phase: 'candidate', done, total, note }),
        });
        changed = done.model;
      }
      const measured = {
        ...this.point(allocation),
        picks: allocation.picks,
        score: await score.evaluate(changed),
        ...(latency && { latency: await latency(changed) }),
      };
      await this.keep({ candidates: [...this.state.candidates, measured] });
      return measured;
    } catch (error) {
      if (signal?.aborted) return null;
      throw error;
    } finally {
      disposeModel(changed);
      if (changed !== original) disposeModel(original);
    }
  }

  private async keep(change: Partial<SearchState>): Promise<void> {
    this.state = { ...this.state, ...change };
    await this.options.store?.save(this.state);
  }

  private recipeOf({ picks }: Allocation): Recipe {
    return searchedRecipe(this.units, picks, this.options.seed ?? 0);
  }

  /** Whether an allocation is an answer: one that changes something, unless nothing needs to be. */
  private changes(allocation: Allocation): boolean {
    return this.mayStay || this.recipeOf(allocation).stages.length > 0;
  }

  private point(allocation: Allocation): SearchPoint {
    return { bytes: this.sizeOf(allocation), predicted: allocation.loss };
  }

  private sizeOf({ picks, bytes }: Allocation): number {
    const { units, model, options } = this;
    const chosen = units.map(({ choices }, u) => choices[picks[u]]);
    if (options.size) return options.size(model, new Map(chosen.flatMap(({ packed }) => [...packed])));
    const before = units.reduce((sum, { bytesBefore }) => sum + bytesBefore, 0);
    return modelBytes(model) - before + bytes;
  }

  /** Every option that most weights can take, for all layers; those that cannot take what is closest in bits. */
  private uniform(knapsack: Knapsack): SearchResult['uniform'] {
    const names = [...new Set(this.units.flatMap(({ choices }) => choices.map(({ option }) => option.name)))];
    const weightsOf = (units: readonly SearchUnit[]) => units.reduce((sum, { weights }) => sum + weights, 0);
    const usual = names.filter((name) => {
      const able = this.units.filter(({ choices }) => choices.some(({ option }) => option.name === name));
      return 2 * weightsOf(able) > weightsOf(this.units);
    });
    return usual.map((option) => {
      const named = this.units.flatMap(({ choices, weights }) =>
        choices.flatMap((choice) => (choice.option.name === option ? [choice.bytes / weights] : [])),
      );
      const bits = named.reduce((sum, each) => sum + each, 0) / named.length;
      const picks = this.units.map(({ choices, weights }) => {
        const own = choices.findIndex((choice) => choice.option.name === option);
        const distance = (i: number) => Math.abs(choices[i].bytes / weights - bits);
        return own >= 0 ? own : [...choices.keys()].reduce((a, b) => (distance(b) < distance(a) ? b : a));
      });
      return { option, ...this.point(knapsack.price(picks)) };
    });
  }
}

/** The beginnings of sequences from all over the calibration, with about this many tokens together. */
export function firstTokens(sequences: readonly ArrayLike<number>[], tokens: number): Int32Array[] {
  const lengths = sequences.map(({ length }) => Math.min(length, PROBE_LENGTH));
  const mean = lengths.reduce((sum, length) => sum + length, 0) / sequences.length;
  const count = Math.min(sequences.length, Math.ceil(tokens / mean));
  return Array.from({ length: count }, (_, i) =>
    Int32Array.from(sequences[Math.floor((i * sequences.length) / count)]).subarray(0, PROBE_LENGTH),
  );
}
