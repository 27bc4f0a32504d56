import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openSafetensors } from '@frugal/checkpoint';

/** A file that oracles/make_*.py wrote. */
export function fixturePath(name: string): string {
  return fileURLToPath(new URL(`../../../oracles/fixtures/${name}`, import.meta.url));
}

export function readFixture<T>(name: string): T {
  return JSON.parse(readFileSync(fixturePath(name), 'utf8')) as T;
}

/** All tensors of a fixture as numbers, f32 or f64. */
export async function readNumbers(
  name: string,
): Promise<Map<string, { readonly shape: readonly number[]; readonly values: Float32Array | Float64Array }>> {
  const source = await openSafetensors(fixturePath(name));
  try {
    const result = new Map();
    for (const [key, { dtype, shape }] of source.entries) {
      const { buffer } = await source.read(key);
      result.set(key, {
        shape,
        values: dtype === 'F64' ? new Float64Array(buffer) : new Float32Array(buffer),
      });
    }
    return result;
  } finally {
    await source.close();
  }
}
