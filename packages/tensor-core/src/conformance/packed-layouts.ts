import type { Backend } from '../backend.js';
import { tensor } from '../creation.js';
import { type PackedActivation, packedFormat, packedFormatNames } from '../formats/index.js';
import { PackedTensor } from '../packed-tensor.js';
import { Random } from '../random.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { difference } from './compare.js';
import { packedMatrix } from './packed-matrix.js';
import { toleranceOf } from './tolerance.js';

/** Around the sizes at which layouts have remainders. */
const sizes = [
  [1, 32],
  [37, 83],
  [48, 413],
  [19, 256],
  [33, 768],
] as const;

/** For every format that the backend lays out anew: the parts come back, and all uses give what the parts give. */
export async function checkPackedLayouts(backend: Backend): Promise<string[]> {
  const findings: string[] = [];
  for (const format of packedFormatNames()) {
    for (const [rows, columns] of sizes) {
      if (!fits(format, rows, columns) || !backend.packedLayout?.(format, rows, columns)) continue;
      const found = await checkLayout(backend, format, rows, columns);
      findings.push(...found.map((finding) => `${format} ${rows} × ${columns}: ${finding}`));
    }
  }
  return findings;
}

function fits(format: string, rows: number, columns: number): boolean {
  try {
    packedFormat(format).parts(rows, columns);
    return true;
  } catch {
    return false;
  }
}

async function checkLayout(
  backend: Backend,
  format: string,
  rows: number,
  columns: number,
): Promise<string[]> {
  const make = () =>
    PackedTensor.fromParts(format, [rows, columns], packedMatrix(format, rows, columns), backend);
  const [plain, prepared] = [make(), make().prepare()];
  const standard = prepared.standard();
  const findings: string[] = [];
  for (const [i, part] of plain.parts.entries()) {
    const same = (await part.bytes()).join() === (await standard.parts[i].bytes()).join();
    if (!same) findings.push(`part ${i} does not come back`);
  }
  for (const [name, use] of uses(backend, rows, columns)) {
    findings.push(
      ...(await compare(
        name,
        () => use(prepared),
        () => use(plain),
      )),
    );
  }
  findings.push(...(await checkRowsAlone(backend, prepared, columns)));
  for (const each of [plain, prepared, standard]) each.dispose();
  return findings;
}

function uses(backend: Backend, rows: number, columns: number): [string, (weight: PackedTensor) => Tensor][] {
  const x = (size: number) => new Random(3).normal([5, size], { backend });
  return [
    ['unpack', (weight) => weight.unpack()],
    ['unpack of the last row', (weight) => weight.unpack(rows - 1, 1)],
    ['gather', (weight) => weight.gather(tensor(Int32Array.of(rows - 1, 0, rows >> 1), { backend }))],
    ['matmul', (weight) => weight.matmul(x(columns))],
    ['matmul, recommended activation', (weight) => weight.matmul(x(columns), weight.recommendedActivation)],
    ['transposed matmul', (weight) => weight.matmulTransposed(x(rows))],
  ];
}

async function compare(name: string, actual: () => Tensor, expected: () => Tensor): Promise<string[]> {
  const [a, b] = [scope(actual), scope(expected)];
  const [got, want] = [await a.toFloat32(), await b.toFloat32()];
  const found = difference(
    { dtype: 'f32', shape: a.shape, numbers: got },
    { dtype: 'f32', shape: b.shape, numbers: want },
    toleranceOf('f32', 'accumulated'),
  );
  a.dispose();
  b.dispose();
  return found ? [`${name}: ${found}`] : [];
}

/** A row alone has the bits that it has among others. */
async function checkRowsAlone(backend: Backend, weight: PackedTensor, columns: number): Promise<string[]> {
  const findings: string[] = [];
  const activations: PackedActivation[] = ['none', weight.recommendedActivation];
  for (const activation of activations) {
    const [all, alone] = scope(() => {
      const x = new Random(4).normal([21, columns], { backend });
      return [weight.matmul(x, activation).slice(0, 13, 14), weight.matmul(x.slice(0, 13, 14), activation)];
    });
    if ((await all.bytes()).join() !== (await alone.bytes()).join())
      findings.push(`a row alone differs from the same row among others (${activation})`);
    all.dispose();
    alone.dispose();
  }
  return findings;
}
