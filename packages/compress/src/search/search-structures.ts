import type { CausalLM } from '@frugal/tensor-core/nn';
import { compress } from '../compress.js';
import { disposeModel, disposeUnused } from '../edit.js';
import { CompressError, PlanError } from '../errors.js';
import type { ModifierSpec, Recipe } from '../recipe.js';
import { Divergence } from './divergence.js';
import { firstTokens, Search, type SearchOptions, type SearchResult, type SearchTarget } from './search.js';
import type { SearchState, SearchStore } from './search-store.js';
import { type SearchStructure, UNCHANGED } from './structure.js';

/** What came of one structure. */
export interface StructureResult {
  readonly name: string;
  /** How far its predictions are from the original's before any layer is chosen for, in nats; null when it cannot be made. */
  readonly divergence: number | null;
  /** What was found for it; the divergence is in its predictions. */
  readonly found?: Pick<SearchResult, 'chosen' | 'frontier'>;
  /** Why nothing was found. */
  readonly problem?: string;
}

/**
 * Finds a recipe: for the model as it is and for each structure it measures how sensitive each layer is, chooses what is done to
 * each layer by dynamic programming, and for a limit of loss runs recipes until one uses the limit up. Of the structures the
 * one wins that reaches the target with the least predicted divergence, or, for a limit of loss, with the fewest bytes. The
 * divergence of a structure and that of its layers are added up. Every answer is repeatable: the same inputs give the same recipe.
 * @param open gives the model as it is, a new one each time
 * @throws CompressError when the target is out of reach
 */
export async function searchRecipe(
  open: () => Promise<CausalLM>,
  target: SearchTarget,
  options: SearchOptions,
): Promise<SearchResult> {
  const model = await open();
  try {
    const { structures = [] } = options;
    if (structures.length === 0) return await new Search(open, model, options).run(target);
    return await new StructureSearch(open, model, options).run(target, [UNCHANGED, ...structures]);
  } finally {
    disposeModel(model);
  }
}

interface Attempt {
  readonly result?: SearchResult;
  readonly failure?: Error;
  readonly summary: StructureResult;
}

class StructureSearch {
  private state: SearchState;

  constructor(
    private readonly open: () => Promise<CausalLM>,
    private readonly original: CausalLM,
    private readonly options: SearchOptions,
  ) {
    this.state = options.store?.state ?? { sensitivity: {}, candidates: [] };
  }

  async run(target: SearchTarget, structures: readonly SearchStructure[]): Promise<SearchResult> {
    const { calibration, probeTokens = 2048, score } = this.options;
    const scoreBefore = this.state.scoreBefore ?? (await score.evaluate(this.original));
    await this.keep({ scoreBefore });
    const divergence = new Divergence(this.original, firstTokens(calibration, probeTokens));
    const found: { result: SearchResult; structure: SearchStructure }[] = [];
    const tried: StructureResult[] = [];
    const failures: Error[] = [];
    try {
      for (const structure of structures) {
        const tries = await this.attempt(structure, target, { divergence, scoreBefore });
        tried.push(tries.summary);
        if (tries.result) found.push({ result: tries.result, structure });
        if (tries.failure) failures.push(tries.failure);
      }
    } finally {
      divergence.dispose();
    }
    if (found.length === 0) throw failures[0];
    const cost = ({ result: { chosen } }: (typeof found)[number]) =>
      target.kind === 'loss' ? chosen.bytes : chosen.predicted;
    const best = found.reduce((a, b) => (cost(b) < cost(a) ? b : a));
    return {
      ...best.result,
      recipe: withStructure(best.result.recipe, best.structure),
      structure: best.structure.name,
      structures: tried,
    };
  }

  /** What can be had with one structure: a result, or why there is none. */
  private async attempt(
    structure: SearchStructure,
    target: SearchTarget,
    { divergence, scoreBefore }: { readonly divergence: Divergence; readonly scoreBefore: number },
  ): Promise<Attempt> {
    const { name, modifiers } = structure;
    const open = () => this.shaped(modifiers);
    const mayStay = modifiers.length > 0;
    let model: CausalLM | null = null;
    let moved: number | null = null;
    try {
      model = await open();
      moved = mayStay ? await divergence.now(model) : 0;
      const inner = { ...this.options, store: this.storeOf(name, scoreBefore) };
      const result = shifted(await new Search(open, model, inner, mayStay).run(target), moved);
      const { chosen, frontier } = result;
      return { result, summary: { name, divergence: moved, found: { chosen, frontier } } };
    } catch (error) {
      if (!(error instanceof CompressError || error instanceof PlanError)) throw error;
      return { failure: error, summary: { name, divergence: moved, problem: error.message } };
    } finally {
      if (model) disposeModel(model);
    }
  }

  /** A new model of a structure. */
  private async shaped(modifiers: readonly ModifierSpec[]): Promise<CausalLM> {
    const original = await this.open();
    if (modifiers.length === 0) return original;
    const { methods, calibration, rebuild, seed = 0 } = this.options;
    const recipe: Recipe = { version: 1, seed, stages: [{ name: 'structure', modifiers: [...modifiers] }] };
    const { model } = await compress(original, recipe, { methods, calibration, ...(rebuild && { rebuild }) });
    disposeUnused(model, [original]);
    return model;
  }

  /** What is measured of one structure, kept beside that of the others. */
  private storeOf(name: string, scoreBefore: number): SearchStore {
    const known = this.state.structures?.[name] ?? { sensitivity: {}, candidates: [] };
    return {
      state: { ...known, scoreBefore },
      save: (state) => this.keep({ structures: { ...this.state.structures, [name]: state } }),
      remove: async () => {},
    };
  }

  private async keep(change: Partial<SearchState>): Promise<void> {
    this.state = { ...this.state, ...change };
    await this.options.store?.save(this.state);
  }
}

/** A result whose predictions count from the original model on. */
function shifted(result: SearchResult, divergence: number): SearchResult {
  const shift = <P extends { readonly predicted: number }>(point: P): P => ({
    ...point,
    predicted: point.predicted + divergence,
  });
  const { chosen, frontier, uniform, candidates } = result;
  return {
    ...result,
    chosen: shift(chosen),
    frontier: frontier.map(shift),
    uniform: uniform.map(shift),
    candidates: candidates.map(shift),
  };
}

function withStructure(recipe: Recipe, { modifiers }: SearchStructure): Recipe {
  if (modifiers.length === 0) return recipe;
  return { ...recipe, stages: [{ name: 'structure', modifiers: [...modifiers] }, ...recipe.stages] };
}
