import type { Tensor } from '@frugal/tensor-core';
import type { CausalLM, ModelConfig } from '@frugal/tensor-core/nn';

/** Makes the initial value of a parameter: random for training, empty for loading. */
export type Initializer = (path: string, shape: readonly number[], kind: ParameterKind) => Tensor;

export type ParameterKind = 'embedding' | 'input-projection' | 'output-projection' | 'norm' | 'bias';

/** One model family: how its config is read, how it is built, and what its weights are called elsewhere. */
export interface Family {
  /** `architectures[0]` of the configs it takes. */
  readonly architectures: readonly string[];
  build(config: ModelConfig, initialize: Initializer): CausalLM;
  /** Our parameter path → name in a Hugging Face checkpoint. */
  readonly names: NameMap;
  /** Our parameter path → name in a GGUF file; what else differs there is in `gguf/architectures`. */
  readonly ggufNames?: NameMap;
}

/** A reversible map of names, as pairs of patterns in which `*` stands for a layer index. */
export type NameMap = readonly (readonly [ours: string, theirs: string])[];

export function toTheirs(names: NameMap, path: string): string | undefined {
  return translate(names, path, 0, 1);
}

export function toOurs(names: NameMap, name: string): string | undefined {
  return translate(names, name, 1, 0);
}

function translate(names: NameMap, name: string, from: 0 | 1, to: 0 | 1): string | undefined {
  const pattern = name.replace(/\.\d+\./g, '.*.');
  const indices = [...name.matchAll(/\.(\d+)\./g)].map((match) => match[1]);
  for (const pair of names) {
    if (!matches(pair[from], pattern)) continue;
    const suffix = pattern.slice(pair[from].length);
    let i = 0;
    return pair[to].replace(/\*/g, () => indices[i++]) + suffix;
  }
  return undefined;
}

/** A pattern names a module; the parameter's own name (`.weight`, `.bias`, …) follows unchanged. */
function matches(module: string, pattern: string): boolean {
  return pattern === module || pattern.startsWith(`${module}.`);
}
