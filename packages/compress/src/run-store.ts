import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  openSafetensors,
  type DType as StoredDType,
  saveFile,
  saveSafetensors,
  type TensorSource,
  tensorInput,
} from '@frugal/checkpoint';
import type { DType } from '@frugal/tensor-core';
import { CompressError } from './errors.js';
import type { ModuleState, StoredTensor } from './module-state.js';

/** What a finished part of a run left behind. */
export interface StoredPart {
  readonly modules: ReadonlyMap<string, ModuleState>;
  /** Whatever the report says of the part: plain JSON. */
  readonly notes: unknown;
}

/** Keeps finished parts of a run, so that it goes on after an interruption where it stopped. */
export interface RunStore {
  load(part: string): Promise<StoredPart | null>;
  save(part: string, content: StoredPart): Promise<void>;
}

const storedDTypes: Record<DType, StoredDType> = {
  f32: 'F32',
  bf16: 'BF16',
  f16: 'F16',
  i8: 'I8',
  u8: 'U8',
  i32: 'I32',
  bool: 'BOOL',
};

/**
 * A run store in a folder: one safetensors file per part, written whole or not at all. `key` names the run (recipe,
 * model, calibration); to resume in a folder that belongs to another run is refused, or `replace`s it.
 */
export async function openRunStore(
  folder: string,
  key: string,
  { resume, ifOther = 'refuse' }: { readonly resume: boolean; readonly ifOther?: 'refuse' | 'replace' },
): Promise<RunStore> {
  const keyFile = join(folder, 'run.json');
  const found = await readFile(keyFile, 'utf8').catch(() => null);
  const isOther = found !== null && found !== key;
  if (found !== null && (!resume || (isOther && ifOther === 'replace')))
    await rm(folder, { recursive: true, force: true });
  else if (isOther) {
    throw new CompressError({
      where: folder,
      what: 'the interrupted run was another one',
      got: found,
      expected: key,
      hint: 'Start anew without --resume, or with the recipe, model and calibration of that run.',
    });
  }
  await mkdir(folder, { recursive: true });
  await saveFile(keyFile, key);
  const fileOf = (part: string) => join(folder, `${part}.safetensors`);
  return {
    async load(part) {
      const source = await openSafetensors(fileOf(part)).catch(() => null);
      if (!source) return null;
      try {
        return await readPart(source);
      } finally {
        await source.close();
      }
    },
    async save(part, { modules, notes }) {
      const tensors = [...modules].flatMap(([path, { tensors }]) =>
        [...tensors].map(([name, { dtype, shape, bytes }]) =>
          tensorInput(`${path}:${name}`, storedDTypes[dtype], shape, bytes),
        ),
      );
      const packed = [...modules].map(([path, state]) => [path, state.packed ?? null]);
      const metadata = { modules: JSON.stringify(packed), notes: JSON.stringify(notes) };
      await saveSafetensors(fileOf(part), tensors, metadata);
    },
  };
}

async function readPart(source: TensorSource): Promise<StoredPart> {
  const described = JSON.parse(source.metadata.get('modules') as string) as [
    string,
    ModuleState['packed'] | null,
  ][];
  const modules = new Map<string, ModuleState>();
  for (const [path, packed] of described) {
    const tensors = new Map<string, StoredTensor>();
    for (const [name, { dtype, shape }] of source.entries) {
      if (!name.startsWith(`${path}:`)) continue;
      const bytes = await source.read(name);
      tensors.set(name.slice(path.length + 1), { dtype: dtypeOf(dtype), shape, bytes });
    }
    modules.set(path, { tensors, ...(packed && { packed }) });
  }
  return { modules, notes: JSON.parse(source.metadata.get('notes') as string) };
}

function dtypeOf(stored: StoredDType): DType {
  const found = Object.entries(storedDTypes).find(([, name]) => name === stored);
  return (found as [DType, StoredDType])[0];
}
