import { createHash } from 'node:crypto';
import {
  CheckpointChangedError,
  type CheckpointContents,
  openCheckpoint,
  tensorInput,
} from '../src/index.js';

const TENSORS = 6;

function valuesOf(version: number, tensor: number): Float32Array {
  return Float32Array.from({ length: 20_000 }, (_, i) => Math.fround(version * 1000 + tensor + i / 7));
}

/** A checkpoint all of whose files tell its version; about half a megabyte. */
export function contentsOfVersion(version: number): CheckpointContents {
  const tensors = Array.from({ length: TENSORS }, (_, i) =>
    tensorInput(`t${i}`, 'F32', [20_000], valuesOf(version, i)),
  );
  return {
    config: { version },
    manifest: { version: 1, step: version },
    tensors,
    tokenizerFiles: { 'tokenizer.json': JSON.stringify({ version }) },
    trainer: { state: { step: version }, optimizer: tensors.slice(0, 2) },
  };
}

/** Reads a checkpoint of {@link contentsOfVersion} whole; throws when parts of it belong to different versions. */
export async function readVersion(path: string): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readOnce(path);
    } catch (error) {
      if (!(error instanceof CheckpointChangedError) || attempt === 50) throw error;
    }
  }
}

async function readOnce(path: string): Promise<number> {
  const checkpoint = await openCheckpoint(path);
  try {
    const version = checkpoint.config.version as number;
    const state = (await checkpoint.readJson('trainer/state.json')) as { step: number };
    const tokenizer = (await checkpoint.readJson('tokenizer.json')) as { version: number };
    const seen = new Set([version, checkpoint.manifest?.step, state.step, tokenizer.version]);
    if (seen.size > 1) throw new Error(`mixed versions: ${[...seen]}`);
    const optimizer = await checkpoint.openTensors('trainer/optimizer.safetensors');
    for (let i = 0; i < TENSORS; i++) {
      const expected = digest(new Uint8Array(valuesOf(version, i).buffer));
      const sources = i < 2 ? [checkpoint.tensors, optimizer] : [checkpoint.tensors];
      for (const source of sources) {
        if (digest(await source.read(`t${i}`)) !== expected)
          throw new Error(`tensor ${i} is not of version ${version}`);
      }
    }
    await optimizer.close();
    return version;
  } finally {
    await checkpoint.close();
  }
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
