import { ArgumentError, PackedTensor, type Tensor, tensor } from '@frugal/tensor-core';
import {
  type CausalLM,
  type Coupling,
  type CouplingMember,
  isLinearLike,
  type Module,
  Parameter,
} from '@frugal/tensor-core/nn';
import { layerPairs } from './hidden.js';

/** A matrix [rows, columns] or vector [rows, 1] on the host. */
interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

/** Entries of a teacher's weight that the student takes over; left out: all. */
interface Kept {
  readonly rows?: readonly number[];
  readonly columns?: readonly number[];
}

/**
 * Gives a student, which may be narrower and shallower, the teacher's weights: `layers[i]` of the teacher for its block i
 * (default: spread evenly), and of each block the neurons, heads and channels with the largest weights (as Minitron does by
 * magnitude, Muralidharan et al. 2024, arXiv:2407.14679). Channels of the residual stream are the same in all blocks.
 * @throws ArgumentError for layers that the teacher lacks, and weights whose shapes have no common part
 */
export async function initializeStudent(
  student: CausalLM,
  teacher: CausalLM,
  layers?: readonly number[],
): Promise<void> {
  const own = student.blocks.length;
  const pairs = layerPairs(own, teacher.blocks.length, undefined, layers && requireOnePerBlock(layers, own));
  const theirs = (path: string) =>
    path.replace(/^blocks\.(\d+)(?=\.|$)/, (_, i) => `blocks.${pairs[Number(i)].teacher}`);
  const reader = new WeightReader(teacher);
  const kept = await chooseUnits(student, teacher, theirs, reader);
  const changes: [Parameter, Tensor][] = [];
  for (const [path, parameter] of student.namedParameters()) {
    const [modulePath, name] = splitPath(path);
    const source = await reader.read(theirs(modulePath), name);
    const cut = take(source, name === 'bias' ? { rows: kept.get(modulePath)?.rows } : kept.get(modulePath));
    requireFit(path, cut, parameter);
    const { shape, value } = parameter;
    changes.push([
      parameter,
      tensor(cut.values, { backend: value.backend })
        .reshape(...shape)
        .cast(value.dtype),
    ]);
  }
  for (const [parameter, value] of changes) parameter.value = value;
}

/** Reads the weights of a teacher, dense or packed, to the host. */
class WeightReader {
  constructor(private readonly model: CausalLM) {}

  async read(path: string, name: string): Promise<Matrix> {
    const module = this.model.module(path);
    const value = weightOf(module, name);
    if (!value) {
      throw new ArgumentError({
        where: 'initializeStudent',
        what: `the teacher has no ${name} at ${path}`,
        hint: 'Teacher and student must be of one family.',
      });
    }
    const [rows, columns = 1] = value.shape;
    return { rows, columns, values: await value.toFloat32() };
  }
}

function weightOf(module: Module, name: string): Tensor | null {
  if (name === 'weight' && isLinearLike(module)) return module.effectiveWeight();
  const value = (module as unknown as Record<string, unknown>)[name];
  if (value instanceof PackedTensor) return value.unpack();
  return value instanceof Parameter ? value.value : null;
}

/** By path of the student's module: which rows and columns of the teacher's it takes. */
async function chooseUnits(
  student: CausalLM,
  teacher: CausalLM,
  theirs: (path: string) => string,
  reader: WeightReader,
): Promise<Map<string, Kept>> {
  const sources = new Map(teacher.couplings().map((coupling) => [coupling.path, coupling]));
  const kept = new Map<string, { rows?: readonly number[]; columns?: readonly number[] }>();
  for (const target of student.couplings()) {
    const source = sources.get(theirs(target.path));
    if (!source || source.units === target.units) continue;
    const ofStudent = target.members.map(({ path }) => theirs(path));
    const members = source.members.filter(({ path }) => ofStudent.includes(path));
    const units = largest(await importance({ ...source, members }, reader), target);
    for (const [i, member] of target.members.entries()) {
      const entries = source.members.find(({ path }) => path === ofStudent[i]) ?? member;
      kept.set(member.path, { ...kept.get(member.path), [member.axis]: entriesOf(units, entries) });
    }
  }
  for (const { path, source } of student.ties) copyTie(kept, path, source);
  return kept;
}

function copyTie(kept: Map<string, Kept>, path: string, source: string): void {
  const [own, other] = [splitPath(path)[0], splitPath(source)[0]];
  const found = kept.get(other) ?? kept.get(own);
  if (!found) return;
  kept.set(own, found);
  kept.set(other, found);
}

/** Σ of squares of all entries that belong to a unit, each matrix counting alike. */
async function importance({ members, units }: Coupling, reader: WeightReader): Promise<Float64Array> {
  const sums = new Float64Array(units);
  for (const { path, axis, entriesPerUnit } of members) {
    const { rows, columns, values } = await reader.read(path, 'weight');
    const own = new Float64Array(units);
    let total = 0;
    for (let r = 0, i = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++, i++) {
        const square = values[i] ** 2;
        own[Math.floor((axis === 'rows' ? r : c) / entriesPerUnit)] += square;
        total += square;
      }
    }
    for (const [unit, square] of own.entries()) sums[unit] += square / (total || 1);
  }
  return sums;
}

/** As many units as the student has, ascending. */
function largest(scores: Float64Array, { path, units }: Coupling): number[] {
  if (units > scores.length) {
    throw new ArgumentError({
      where: 'initializeStudent',
      what: `the student is wider than the teacher at ${path}`,
      got: String(units),
      expected: `at most ${scores.length}`,
    });
  }
  const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b);
  return order.slice(0, units).sort((a, b) => a - b);
}

function entriesOf(units: readonly number[], { entriesPerUnit }: CouplingMember): number[] {
  return units.flatMap((unit) => Array.from({ length: entriesPerUnit }, (_, i) => unit * entriesPerUnit + i));
}

function take(matrix: Matrix, { rows, columns }: Kept = {}): Matrix {
  if (!rows && !columns) return matrix;
  const [fromRows, fromColumns] = [rows ?? range(matrix.rows), columns ?? range(matrix.columns)];
  const values = new Float32Array(fromRows.length * fromColumns.length);
  let at = 0;
  for (const r of fromRows) for (const c of fromColumns) values[at++] = matrix.values[r * matrix.columns + c];
  return { rows: fromRows.length, columns: fromColumns.length, values };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

function splitPath(path: string): [module: string, name: string] {
  const dot = path.lastIndexOf('.');
  return [path.slice(0, Math.max(0, dot)), path.slice(dot + 1)];
}

function requireOnePerBlock(layers: readonly number[], blocks: number): readonly number[] {
  if (layers.length === blocks) return layers;
  throw new ArgumentError({
    where: 'initializeStudent',
    what: 'the student needs one layer of the teacher for each of its own',
    got: `${layers.length} layers for ${blocks}`,
  });
}

function requireFit(path: string, { rows, columns }: Matrix, { shape }: Parameter): void {
  const [wantedRows, wantedColumns = 1] = shape;
  if (rows === wantedRows && columns === wantedColumns) return;
  throw new ArgumentError({
    where: 'initializeStudent',
    what: `${path} of the student is no part of the teacher's`,
    got: `[${rows}, ${columns}]`,
    expected: `[${wantedRows}, ${wantedColumns}]`,
    hint: 'Keep the head size and the query heads per key head of the teacher.',
  });
}
