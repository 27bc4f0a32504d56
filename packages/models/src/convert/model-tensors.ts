import { type Checkpoint, reorderedRows, type StoredRows, shiftedRows, storedRows } from '@frugal/checkpoint';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import { ModelConfigError } from '../config-reader.js';
import { type NameMap, toOurs, toTheirs } from '../families/family.js';
import { architectureFor, architectureOf, ggufConfig, ROPE_FACTORS } from '../gguf/gguf-weights.js';
import { modelTensors } from '../gguf/model-tensors.js';
import { asGgufStacks } from '../gguf/stacks.js';
import { familyOf, namesOf } from '../registry.js';
import { inverseOrder, pairedRows } from '../weights/row-order.js';

/** A tensor to be converted: under a name of some file, as rows in the order that such files have. */
export interface NamedRows {
  readonly name: string;
  readonly shape: readonly number[];
  readonly rows: StoredRows;
}

/** Every tensor of a file as it is. */
export function tensorsAsStored({ tensors }: Pick<Checkpoint, 'tensors'>): NamedRows[] {
  return [...tensors.entries.values()].map(({ name, shape }) => ({
    name,
    shape,
    rows: storedRows(tensors, name),
  }));
}

/** The tensors of a directory under GGUF's names, as GGUF orders their rows. */
export function toGgufTensors({
  config,
  tensors,
}: {
  readonly config: ModelConfig;
  readonly tensors: readonly NamedRows[];
}): NamedRows[] {
  const architecture = architectureFor(config);
  const names = namesOf(config);
  const ggufNames = ggufNamesOf(config);
  const isLeftOut = (name: string) => {
    const path = toOurs(names, name);
    return isDerived(name, config) || (path !== undefined && architecture.leavesOut?.(path) === true);
  };
  const wanted = tensors.filter(({ name }) => !isLeftOut(name));
  const renamed = rename(wanted, names, ggufNames, ({ path, rows }) => {
    const order = architecture.rowOrder?.(modulePath(path), config);
    const added = architecture.addedTo?.(path) ?? 0;
    const ordered = order
      ? reorderedRows(rows, inverseOrder(pairedRows(order.headSize, order.headSize)))
      : rows;
    return added === 0 ? ordered : shiftedRows(ordered, added);
  });
  return asGgufStacks(renamed, architecture.latentSizes?.(config));
}

/** The tensors of a GGUF file under Hugging Face's names, in the model's order of rows. */
export async function fromGgufTensors(
  checkpoint: Checkpoint,
): Promise<{ config: ModelConfig; tensors: NamedRows[] }> {
  const architecture = architectureOf(checkpoint);
  const config = await ggufConfig(checkpoint);
  const stored = tensorsAsStored({ tensors: modelTensors(checkpoint.tensors) }).filter(
    ({ name }) => name !== ROPE_FACTORS,
  );
  const tensors = rename(stored, ggufNamesOf(config), namesOf(config), ({ path, rows }) => {
    const order = architecture.rowOrder?.(modulePath(path), config);
    const added = architecture.addedTo?.(path) ?? 0;
    const ordered = order ? reorderedRows(rows, pairedRows(order.headSize, order.headSize)) : rows;
    return added === 0 ? ordered : shiftedRows(ordered, -added);
  });
  return { config, tensors };
}

function ggufNamesOf(config: ModelConfig): NameMap {
  const names = familyOf(config).ggufNames?.(config);
  if (names) return names;
  throw new ModelConfigError({
    where: 'config.json',
    what: 'this model family has no names in GGUF',
    got: String((config.architectures as string[])[0]),
  });
}

/** @throws ModelConfigError that lists all tensors without a place in the other kind of file */
function rename(
  tensors: readonly NamedRows[],
  from: NameMap,
  to: NameMap,
  rowsOf: (tensor: { readonly path: string; readonly rows: StoredRows }) => StoredRows,
): NamedRows[] {
  const strangers: string[] = [];
  const renamed = tensors.flatMap(({ name, shape, rows }): NamedRows[] => {
    const path = toOurs(from, name);
    const target = path && toTheirs(to, path);
    if (path && target) return [{ name: target, shape, rows: rowsOf({ path, rows }) }];
    strangers.push(name);
    return [];
  });
  if (strangers.length === 0) return renamed;
  throw new ModelConfigError({
    where: 'convert',
    what: `${strangers.length} tensors have no place in the other kind of file`,
    got: strangers.slice(0, 10).join(', '),
  });
}

/** What follows from config and other tensors: rotary tables, a tied head that was stored as well. */
function isDerived(name: string, config: ModelConfig): boolean {
  return (
    name.endsWith('rotary_emb.inv_freq') || (config.tie_word_embeddings === true && name === 'lm_head.weight')
  );
}

const modulePath = (path: string): string => path.replace(/\.(weight|bias)$/, '');
