import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openSafetensors } from '@frugal/checkpoint';
import { tensor } from '@frugal/tensor-core';

const folder = new URL('../oracles/fixtures/', import.meta.url);

interface Json {
  readonly gptq: Readonly<
    Record<string, { bits: number; group: number; zero_point: boolean; act_order: boolean }>
  >;
  readonly errors: Readonly<Record<string, number>>;
}

/** The layer of oracles/make_calibration.py: weight, Σ x xᵀ of its inputs, and what the reference formulas make of it. */
export async function calibration() {
  const file = await openSafetensors(fileURLToPath(new URL('calibration.safetensors', folder)));
  const json: Json = JSON.parse(readFileSync(new URL('calibration.json', folder), 'utf8'));
  const names = [...file.entries.keys()];
  const bytes = new Map(await Promise.all(names.map(async (name) => [name, await file.read(name)] as const)));
  await file.close();
  const buffer = async (name: string) => (bytes.get(name) as Uint8Array).slice().buffer as ArrayBuffer;
  const floats = async (name: string) => new Float32Array(await buffer(name));
  const shapeOf = (name: string) => file.entries.get(name)?.shape as readonly [number, number];
  return {
    weight: await floats('weight'),
    shape: shapeOf('weight'),
    gram: tensor(await floats('gram'), { shape: shapeOf('gram') }),
    json,
    integers: async (name: string) => new Int32Array(await buffer(name)),
    floats,
  };
}
