import type { CausalLM } from '@frugal/tensor-core/nn';
import type { CompressOptions } from './compress.js';
import type { Modifier, PlannedPacking } from './modifier.js';
import type { ModifierReport } from './report.js';
import { findSites } from './site.js';

export interface StagePlan {
  readonly name: string;
  readonly modifiers: readonly ModifierReport[];
}

export interface CompressPlan {
  readonly stages: readonly StagePlan[];
  /** Everything that stands in the way, of all stages. */
  readonly problems: readonly string[];
}

interface Stage {
  readonly name: string;
  readonly modifiers: readonly Modifier[];
}

/** Looks at every stage without changing anything. Sizes of later stages are those of the model as it is now. */
export function plan(
  model: CausalLM,
  stages: readonly Stage[],
  options: Pick<
    CompressOptions,
    'calibration' | 'calibrationDomains' | 'teacher' | 'data' | 'train' | 'storage'
  >,
): CompressPlan {
  const problems: string[] = [];
  const planned = stages.map(({ name, modifiers }) => ({
    name,
    modifiers: modifiers.map((modifier): ModifierReport => {
      const { type, targets } = modifier.spec;
      const sites = findSites(model, modifier.sites, targets);
      const where = `stage ${name}: ${type}`;
      if (sites.length === 0)
        problems.push(`${where} finds no ${modifier.sites.join(' or ')} at ${targets.include.join(', ')}`);
      for (const missing of unmetNeeds(modifier, options)) problems.push(`${where} needs ${missing}`);
      const result = modifier.plan(sites, model);
      problems.push(...result.problems.map((problem) => `${where}: ${problem}`));
      return { type, sites: result.sites };
    }),
  }));
  for (const stage of planned) problems.push(...conflicts(stage));
  const { calibration = [], calibrationDomains: domains } = options;
  problems.push(...calibrationProblems(model, calibration));
  if (domains && domains.length !== calibration.length)
    problems.push(`${calibration.length} calibration sequences have ${domains.length} domains`);
  problems.push(...(options.storage?.(model, packedLayers(planned)) ?? []));
  return { stages: planned, problems };
}

/** The layers that all stages together pack. */
function packedLayers(stages: readonly StagePlan[]): Map<string, PlannedPacking> {
  const sites = stages.flatMap(({ modifiers }) => modifiers.flatMap((modifier) => modifier.sites));
  return new Map(sites.flatMap(({ path, packed }) => (packed ? [[path, packed] as const] : [])));
}

/** What is wrong with token sequences, so that no run finds out block by block. */
function calibrationProblems(
  { vocabularySize, contextLength }: CausalLM,
  sequences: readonly ArrayLike<number>[],
): string[] {
  const problems: string[] = [];
  for (const [s, sequence] of sequences.entries()) {
    const ids = Array.from(sequence);
    const odd = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
    const where = `calibration sequence ${s}`;
    if (ids.length === 0) problems.push(`${where} is empty`);
    if (ids.length > contextLength)
      problems.push(`${where} has ${ids.length} tokens, more than the model's ${contextLength}`);
    if (odd !== undefined)
      problems.push(
        `${where} has the token ${odd}, and the model ${vocabularySize}: was it made by another tokenizer?`,
      );
  }
  return problems;
}

function unmetNeeds({ needs }: Modifier, options: Parameters<typeof plan>[2]): string[] {
  const missing: string[] = [];
  if (needs.stats?.length && !options.calibration?.length) missing.push('calibration data');
  if (needs.teacher && !options.teacher) missing.push('a teacher');
  if (needs.training && !options.train) missing.push('a trainer');
  if (needs.training && !options.data) missing.push('training data');
  return missing;
}

/** Two methods of one stage that both rewrite a layer: the second would see the work of the first as its input. */
function conflicts({ name, modifiers }: StagePlan): string[] {
  const owner = new Map<string, string>();
  const problems: string[] = [];
  for (const { type, sites } of modifiers) {
    for (const { path, bytesBefore, bytesAfter } of sites) {
      if (bytesBefore === bytesAfter) continue;
      const other = owner.get(path);
      if (other)
        problems.push(
          `stage ${name}: ${other} and ${type} both change ${path}: put them into stages of their own`,
        );
      owner.set(path, type);
    }
  }
  return problems;
}
