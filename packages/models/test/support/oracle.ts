import { readFile } from 'node:fs/promises';
import { openSafetensors, toFloat32, typedArrayOf } from '@frugal/checkpoint';

/** What transformers computed with a model: NAME.expected.safetensors and NAME.expected.json beside its directory. */
export interface Expected {
  readonly floats: (name: string) => Float32Array;
  /** Rows of a matrix of integers. */
  readonly rows: (name: string) => Int32Array[];
  readonly names: readonly string[];
  readonly gradientNorms: Readonly<Record<string, number>>;
}

export async function readExpected(directory: string): Promise<Expected> {
  const source = await openSafetensors(`${directory}.expected.safetensors`);
  const bytes = new Map<string, Uint8Array>();
  for (const name of source.entries.keys()) bytes.set(name, await source.read(name));
  await source.close();
  const { gradientNorms } = JSON.parse(await readFile(`${directory}.expected.json`, 'utf8'));
  const of = (name: string) => bytes.get(name) as Uint8Array;
  return {
    floats: (name) => toFloat32(of(name), 'F32'),
    rows(name) {
      const { shape } = source.entries.get(name) as { readonly shape: readonly number[] };
      const [rows, columns] = shape;
      const ids = Int32Array.from(typedArrayOf(of(name), 'I32'), Number);
      return Array.from({ length: rows }, (_, i) => ids.subarray(i * columns, (i + 1) * columns));
    },
    names: [...bytes.keys()],
    gradientNorms,
  };
}

/** The largest difference as a share of the largest wanted magnitude. */
export function relativeDifference(actual: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (actual.length !== wanted.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < wanted.length; i++) {
    const distance = Math.abs(actual[i] - wanted[i]);
    difference = Math.max(difference, distance); // NaN stays
    scale = Math.max(scale, Math.abs(wanted[i]));
  }
  return difference / scale;
}
