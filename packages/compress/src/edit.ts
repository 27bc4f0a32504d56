import { PackedTensor } from '@frugal/tensor-core';
import { type Buffer, type Model, type ModelConfig, type Module, Parameter } from '@frugal/tensor-core/nn';

/** A change to a model. */
export type Edit =
  | { readonly path: string; readonly module: Module | (() => Promise<Module>) }
  | { readonly config: ModelConfig };

/**
 * Applies edits as a whole or not at all: modules are made first, then swapped in; when one cannot be, those
 * before it are swapped back. Replaced modules are disposed at the end, so edits that share weights are safe.
 */
export async function applyEdits(model: Model, edits: readonly Edit[]): Promise<void> {
  const made: { path: string; module: Module }[] = [];
  for (const edit of edits) {
    if ('path' in edit)
      made.push({
        path: edit.path,
        module: typeof edit.module === 'function' ? await edit.module() : edit.module,
      });
  }
  const undo: (() => void)[] = [];
  const replaced: Module[] = [];
  try {
    for (const { path, module } of made) {
      const old = model.replace(path, module);
      undo.push(() => void model.replace(path, old));
      replaced.push(old);
    }
  } catch (error) {
    for (const back of undo.reverse()) back();
    throw error;
  }
  for (const edit of edits) if ('config' in edit) model.config = { ...model.config, ...edit.config };
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
    const { weight } = inner as { weight?: unknown };
    if (weight instanceof PackedTensor) yield weight;
  }
}

function free(held: Holding): void {
  if (held instanceof Parameter) held.clearGradient();
  (held instanceof PackedTensor ? held : held.value).dispose();
}
