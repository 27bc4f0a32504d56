import type { ModifierSpec, Recipe } from '../recipe.js';
import type { SearchUnit } from './unit.js';

/** The recipe that makes of each unit what was picked: one stage for each step, one modifier for each kind of choice. */
export function searchedRecipe(units: readonly SearchUnit[], picks: readonly number[], seed: number): Recipe {
  const stages: Map<string, ModifierSpec>[] = [];
  for (const [unit, { target, choices }] of units.entries()) {
    for (const [i, step] of choices[picks[unit]].option.steps.entries()) {
      stages[i] ??= new Map();
      const key = JSON.stringify(step);
      const include = [...(stages[i].get(key)?.targets.include ?? []), target];
      stages[i].set(key, { ...step, targets: { include } });
    }
  }
  return {
    version: 1,
    seed,
    stages: stages.map((modifiers, i) => ({
      name: stages.length === 1 ? 'searched' : `searched-${i + 1}`,
      modifiers: [...modifiers.values()],
    })),
  };
}
