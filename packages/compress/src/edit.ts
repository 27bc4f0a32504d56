import { ArgumentError, PackedTensor, releasePages, type Tensor } from '@frugal/tensor-core';
import {
  type Buffer,
  type CacheDType,
  type CausalLM,
  type ModelConfig,
  Module,
  Parameter,
} from '@frugal/tensor-core/nn';
import { packedWeightOf } from './module-state.js';

/**
 * A change to a model: another module at a path, other values of the parameters and buffers of the module there (also of
 * another shape), a block that goes, another config, or another way to store keys and values. Removed blocks and changes of the config take effect when their
 * stage ends: until then all paths keep their names.
 */
export type Edit =
  | { readonly path: string; readonly module: Module | (() => Promise<Module>) }
  | { readonly path: string; readonly values: Readonly<Record<string, Tensor>> }
  | { readonly path: string; readonly remove: true }
  | { readonly config: ModelConfig }
  | { readonly cache: CacheDType };

/** What a stage changes beyond the modules themselves. */
export interface PendingStructure {
  readonly removed: Set<number>;
  config: ModelConfig | null;
}

/**
 * Applies edits as a whole or not at all: modules are made first, then swapped in; when one cannot be, those
 * before it are swapped back. Replaced modules are disposed at the end, so edits that share weights are safe.
 */
export async function applyEdits(
  model: CausalLM,
  edits: readonly Edit[],
  pending: PendingStructure,
): Promise<void> {
  const made: { path: string; module: Module }[] = [];
  for (const edit of edits) {
    if ('module' in edit)
      made.push({
        path: edit.path,
        module: typeof edit.module === 'function' ? await edit.module() : edit.module,
      });
  }
  const changes = edits.flatMap((edit) => ('values' in edit ? valueChanges(model, edit) : []));
  const undo: (() => void)[] = [];
  const replaced: Module[] = [];
  try {
    for (const { path, module } of made) {
      const old = model.replace(path, module);
      undo.push(() => void model.replace(path, old));
      replaced.push(old);
    }
    for (const edit of edits) if ('remove' in edit) pending.removed.add(indexOfBlock(model, edit.path));
  } catch (error) {
    for (const back of undo.reverse()) back();
    throw error;
  }
  for (const { member, value } of changes) member.value = value;
  for (const edit of edits) {
    if ('config' in edit) pending.config = { ...pending.config, ...edit.config };
    if ('cache' in edit) model.cacheDType = edit.cache;
  }
  disposeUnused(model, replaced);
}

/** @throws ArgumentError when the module has no such parameter or buffer of its own */
function valueChanges(
  model: CausalLM,
  { path, values }: { readonly path: string; readonly values: Readonly<Record<string, Tensor>> },
): { readonly member: Parameter | Buffer; readonly value: Tensor }[] {
  const members = new Map(model.module(path).members());
  return Object.entries(values).map(([name, value]) => {
    const member = members.get(name);
    if (member && !(member instanceof Module)) return { member, value };
    throw new ArgumentError({
      where: 'compress',
      what: `no parameter '${name}' at '${path}'`,
      expected: [...members.keys()].join(', ') || 'no parameters there',
    });
  });
}

function indexOfBlock(model: CausalLM, path: string): number {
  return model.blocks.indexOf(model.module(path) as CausalLM['blocks'][number]);
}

/**
 * Applies edits for the time of `use`, then puts everything back as it was and frees what the edits brought.
 * @throws ArgumentError for edits of the structure, which cannot be tried
 */
export async function withEdits<T>(
  model: CausalLM,
  edits: readonly Edit[],
  use: () => Promise<T>,
): Promise<T> {
  const undo: (() => void)[] = [];
  const brought: Module[] = [];
  try {
    for (const edit of edits) {
      if ('module' in edit) {
        const module = typeof edit.module === 'function' ? await edit.module() : edit.module;
        const old = model.replace(edit.path, module);
        undo.push(() => void model.replace(edit.path, old));
        brought.push(module);
      } else if ('values' in edit) {
        for (const { member, value } of valueChanges(model, edit)) {
          const old = member.value.detach(); // setting a value frees the handle before it
          member.value = value;
          undo.push(() => {
            member.value = old;
          });
        }
      } else {
        throw new ArgumentError({ where: 'compress', what: 'only layers can be tried, not the structure' });
      }
    }
    return await use();
  } finally {
    for (const back of undo.reverse()) back();
    disposeUnused(model, brought);
  }
}

/** Frees all that a model holds. */
export function disposeModel(model: Module): void {
  for (const held of new Set(holdings(model))) free(held);
}

/** Frees what modules held that the model no longer uses. */
export function disposeUnused(model: Module, replaced: readonly Module[]): void {
  const kept = new Set(holdings(model));
  for (const old of replaced) {
    for (const held of holdings(old)) if (!kept.has(held)) free(held);
  }
}

type Holding = Parameter | Buffer | PackedTensor;

/** Everything in a module that holds memory; other modules may hold the same. */
function* holdings(module: Module): Iterable<Holding> {
  yield* module.parameters();
  for (const [, buffer] of module.namedBuffers()) yield buffer;
  for (const [, inner] of module.namedModules()) {
    const packed = packedWeightOf(inner);
    if (packed) yield packed;
  }
}

function free(held: Holding): void {
  if (held instanceof Parameter) {
    held.clearGradient();
    releasePages(held.value);
  }
  (held instanceof PackedTensor ? held : held.value).dispose();
}
