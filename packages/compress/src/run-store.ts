import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  openSafetensors,
  type DType as StoredDType,
  saveFile,
  saveSafetensors,
  type TensorEntry,
  type TensorInput,
  type TensorSource,
} from '@frugal/checkpoint';
import {
  adoptStorage,
  type Backend,
  bytesPerElement,
  type DType,
  fromBytes,
  fromStorage,
  keep,
  releaseStorage,
  type Storage,
  type Tensor,
  tensorPieces,
} from '@frugal/tensor-core';
import { CompressError } from './errors.js';
import { captureModules, disposeStates, type ModuleState } from './module-state.js';

/** What a finished part of a run left behind. */
export interface StoredPart {
  readonly modules: ReadonlyMap<string, ModuleState>;
  /** Whatever the report says of the part: plain JSON. */
  readonly notes: unknown;
}

/**
 * Keeps finished parts of a run: it goes on after an interruption where it stopped, and what is finished need not stay in
 * memory.
 */
export interface RunStore {
  /** What was saved, null when nothing was: its tensors lie on `backend`, in the file itself where that can map files. */
  load(part: string, backend: Backend): Promise<StoredPart | null>;
  /** The tensors stay the caller's. */
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
    async load(part, backend) {
      const source = await openSafetensors(fileOf(part)).catch(() => null);
      if (!source) return null;
      try {
        return await readPart(source, backend);
      } finally {
        await source.close();
      }
    },
    async save(part, { modules, notes }) {
      const tensors = [...modules].flatMap(([path, state]) =>
        [...state.tensors].map(([name, tensor]) => stored(`${path}:${name}`, tensor)),
      );
      const packed = [...modules].map(([path, state]) => [path, state.packed ?? null]);
      const metadata = { modules: JSON.stringify(packed), notes: JSON.stringify(notes) };
      await saveSafetensors(fileOf(part), tensors, metadata);
    },
  };
}

/** Saves what modules hold now as a part. */
export async function saveModules(
  store: RunStore,
  part: string,
  holders: Parameters<typeof captureModules>[0],
  notes: unknown,
): Promise<void> {
  const modules = captureModules(holders);
  try {
    await store.save(part, { modules, notes });
  } finally {
    disposeStates(modules);
  }
}

function stored(name: string, tensor: Tensor): TensorInput {
  const { dtype, shape } = tensor;
  return { name, dtype: storedDTypes[dtype], shape, bytes: () => tensorPieces(tensor.detach()) };
}

async function readPart(source: TensorSource, backend: Backend): Promise<StoredPart> {
  const described = JSON.parse(source.metadata.get('modules') as string) as [
    string,
    ModuleState['packed'] | null,
  ][];
  const [first] = source.entries.values();
  const mapped = first && backend.mapFile ? adoptStorage(backend.mapFile(first.file)) : null;
  const modules = new Map<string, ModuleState>();
  for (const [path, packed] of described) {
    const tensors = new Map<string, Tensor>();
    for (const name of source.entries.keys()) {
      if (!name.startsWith(`${path}:`)) continue;
      tensors.set(name.slice(path.length + 1), keep(await readTensor(source, name, mapped, backend)));
    }
    modules.set(path, { tensors, ...(packed && { packed }) });
  }
  if (mapped) releaseStorage(mapped);
  return { modules, notes: JSON.parse(source.metadata.get('notes') as string) };
}

async function readTensor(
  source: TensorSource,
  name: string,
  mapped: Storage | null,
  backend: Backend,
): Promise<Tensor> {
  const { dtype: storedAs, shape, byteOffset } = source.entries.get(name) as TensorEntry;
  const dtype = dtypeOf(storedAs);
  if (mapped && byteOffset % bytesPerElement(dtype) === 0)
    return fromStorage(mapped, byteOffset, { shape, dtype });
  return fromBytes(await source.read(name), { shape, dtype, backend });
}

function dtypeOf(stored: StoredDType): DType {
  const found = Object.entries(storedDTypes).find(([, name]) => name === stored);
  return (found as [DType, StoredDType])[0];
}
