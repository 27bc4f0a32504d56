import type { Tensor } from '@frugal/tensor-core';
import type { CausalLM, Model, ModelConfig } from '@frugal/tensor-core/nn';

/** Makes the initial value of a parameter: random for training, empty for loading. */
export type Initializer = (path: string, shape: readonly number[], kind: ParameterKind) => Tensor;

/** `norm-from-one`: the distance of a norm's factor from 1. */
export type ParameterKind =
  | 'embedding'
  | 'input-projection'
  | 'output-projection'
  | 'norm'
  | 'norm-from-one'
  | 'bias';

/** One model family: how its config is read, how it is built, and what its weights are called elsewhere. */
export interface Family<M extends Model = CausalLM> {
  /** `architectures[0]` of the configs it takes. */
  readonly architectures: readonly string[];
  /** `model_type` of the configs it writes, where a new config says none. */
  readonly modelType: string;
  build(config: ModelConfig, initialize: Initializer): M;
  /** Our parameter path → name in a Hugging Face checkpoint. */
  names(config: ModelConfig): NameMap;
  /** The config that fits what a Hugging Face checkpoint holds: some say more than they store. */
  fit?(config: ModelConfig, has: (name: string) => boolean): ModelConfig;
  /** Whether a tensor of a Hugging Face checkpoint is a copy of another one. */
  repeats?(name: string): boolean;
  /** Our parameter path → name in a GGUF file; what else differs there is in `gguf/architectures`. */
  ggufNames?(config: ModelConfig): NameMap;
  /**
   * The config of the sparse model that a dense one becomes when its feed-forward layers turn into experts whose weights
   * sum to one: of this or a related family. @throws ModelConfigError when the sparse family lacks something
   */
  toSparse?(config: ModelConfig, experts: SparseShape): ModelConfig;
}

/** What replaces each feed-forward layer. */
export interface SparseShape {
  readonly experts: number;
  readonly chosen: number;
  /** F of each expert. */
  readonly size: number;
  /** F of the experts that all tokens use; 0: none. */
  readonly sharedSize: number;
}

/**
 * A reversible map of names, as pairs of patterns of modules in which `*` stands for an index; the parameter's own name
 * (`.weight`, `.bias`, …) follows unchanged. The first pair that fits holds. Stacked experts are written as
 * `….sites.*`: a file has either one tensor for each, or (a pair without `.sites.*`) the whole stack.
 */
export type NameMap = readonly (readonly [ours: string, theirs: string])[];

export function toTheirs(names: NameMap, path: string): string | undefined {
  return translate(names, path, 0, 1);
}

export function toOurs(names: NameMap, name: string): string | undefined {
  return translate(names, name, 1, 0);
}

function translate(names: NameMap, name: string, from: 0 | 1, to: 0 | 1): string | undefined {
  for (const pair of names) {
    const match = patternOf(pair[from]).exec(name);
    if (!match) continue;
    const indices = match.slice(1, -1);
    let i = 0;
    return pair[to].replace(/\*/g, () => indices[i++]) + (match[match.length - 1] ?? '');
  }
  return undefined;
}

const patterns = new Map<string, RegExp>();

/** Matches a module's name and what follows it; the groups are the indices, then what follows. */
function patternOf(module: string): RegExp {
  let pattern = patterns.get(module);
  if (!pattern) {
    pattern = new RegExp(`^${module.replace(/\./g, '\\.').replace(/\*/g, '(\\d+)')}(\\..*)?$`);
    patterns.set(module, pattern);
  }
  return pattern;
}
