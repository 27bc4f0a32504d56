import type { Model, ModelConfig, Module } from '@frugal/tensor-core/nn';

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
    if ('path' in edit) made.push({ path: edit.path, module: typeof edit.module === 'function' ? await edit.module() : edit.module });
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
  const kept = new Set(model.parameters());
  for (const old of replaced) disposeUnless(old, kept);
}

/** Frees the parameters of a replaced module, but not those that the model still uses elsewhere. */
function disposeUnless(module: Module, kept: ReadonlySet<unknown>): void {
  for (const parameter of module.parameters()) {
    if (kept.has(parameter)) continue;
    parameter.clearGradient();
    parameter.value.dispose();
  }
}
