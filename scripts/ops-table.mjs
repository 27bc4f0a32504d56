#!/usr/bin/env node
/**
 * Writes docs/ops.md: which op runs on which backend in which dtypes, found by running the conformance suite here. Needs
 * `npm run build`. A backend that cannot run here keeps the column that it had. FRUGAL_CUDA_ALLOW_CPU=1 lets TensorFlow's
 * processor kernels stand for those of a GPU, and ASCEND_HOME_PATH may name the stub of CANN.
 *
 *   node scripts/ops-table.mjs [BACKEND ...]    only these anew
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ascendBackend } from '../packages/backend-ascend/dist/index.js';
import { cpuBackend } from '../packages/backend-cpu/dist/index.js';
import { cudaBackend } from '../packages/backend-cuda/dist/index.js';
import { conformanceCases, conformanceTasks } from '../packages/tensor-core/dist/conformance/index.js';
import { hasKernel, operations, primitiveOps, referenceBackend } from '../packages/tensor-core/dist/index.js';

const order = ['f32', 'bf16', 'f16', 'i32', 'i8', 'u8', 'bool'];
const candidates = [
  ['reference', () => referenceBackend()],
  ['cpu', () => cpuBackend()],
  ['cuda', () => cudaBackend()],
  ['ascend', () => ascendBackend()],
];
const file = join(import.meta.dirname, '../docs/ops.md');

/** The dtype that a case is about: that of its first floating-point operand, else of its result. */
function dtypeOf({ op, inputs, attributes }) {
  const outputs = operations[op].infer(inputs, attributes);
  const all = [...inputs, ...outputs].map(({ dtype }) => dtype);
  return all.find((dtype) => ['f32', 'bf16', 'f16'].includes(dtype)) ?? all.at(-1);
}

/** op → dtype → native | composed | failed */
async function examine(backend) {
  const tasks = conformanceTasks('values');
  const found = new Map();
  for (const [i, one] of conformanceCases.entries()) {
    const { status } = await tasks[i].run(backend);
    if (status === 'skipped') continue;
    const dtypes = found.get(one.op) ?? new Map();
    found.set(one.op, dtypes);
    const native = hasKernel(backend, one.op, one.inputs, one.attributes);
    const state = status === 'failed' ? 'failed' : native ? 'native' : 'composed';
    const dtype = dtypeOf(one);
    const rank = ['native', 'composed', 'failed'];
    const before = dtypes.get(dtype) ?? 'native';
    dtypes.set(dtype, rank[Math.max(rank.indexOf(before), rank.indexOf(state))]);
  }
  return found;
}

function cell(dtypes) {
  if (!dtypes) return '–';
  const style = { native: (d) => d, composed: (d) => `*${d}*`, failed: (d) => `~~${d}~~` };
  return order.flatMap((dtype) => (dtypes.has(dtype) ? [style[dtypes.get(dtype)](dtype)] : [])).join(' ');
}

/** The stub calls itself a real device; the page must not. */
function describe(name, { description }) {
  const isStub = name === 'ascend' && /ascend-stub/.test(process.env.ASCEND_HOME_PATH ?? '');
  return isStub ? 'the stub of CANN on the processor, no NPU' : description.replace(`${name}: `, '');
}

/** Columns of the page as it is: by backend, its description and its cells by op. */
function columnsBefore() {
  const text = readFileSync(file, 'utf8');
  const [header, , ...rows] = text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((part) => part.trim()),
    );
  return new Map(
    header.slice(1).map((name, i) => [
      name,
      {
        name,
        description: text.match(new RegExp(`^- ${name}: (.*)$`, 'm'))?.[1] ?? '',
        cells: new Map(rows.map((row) => [row[0].replaceAll('*', ''), row[i + 1]])),
      },
    ]),
  );
}

const before = columnsBefore();
const wanted = process.argv.slice(2);
const columns = [];
for (const [name, open] of candidates) {
  const known = before.get(name);
  try {
    if (wanted.length > 0 && !wanted.includes(name)) throw new Error('not asked for');
    const backend = open();
    const found = await examine(backend);
    const cells = new Map([...found].map(([op, dtypes]) => [op, cell(dtypes)]));
    columns.push({ name, description: describe(name, backend), cells });
  } catch (error) {
    console.log(`${name}: ${known ? 'as before' : 'left out'}: ${error.message}`);
    if (known) columns.push(known);
  }
}
// Views run no kernel anywhere.
const ops = Object.keys(operations).filter(
  (op) => !operations[op].view && columns.some(({ cells }) => cells.has(op)),
);
const rows = ops.map((op) => {
  const name = primitiveOps.includes(op) ? `**${op}**` : op;
  return `| ${name} | ${columns.map(({ cells }) => cells.get(op) ?? cell()).join(' | ')} |`;
});
const page = `# Ops and backends

Made by \`node scripts/ops-table.mjs\` from a run of the conformance suite; not edited by hand. Every dtype stands for all cases of
the suite with it: those of an upright one ran in a kernel of the backend, those of an *italic* one were composed by core from
other ops at least once, and ~~struck~~ ones failed. Every backend must have the **bold** ops.

${columns.map(({ name, description }) => `- ${name}: ${description}`).join('\n')}

| op | ${columns.map(({ name }) => name).join(' | ')} |
|---|${columns.map(() => '---|').join('')}
${rows.join('\n')}
`;
writeFileSync(file, page);
const failed = rows.filter((row) => row.includes('~~')).length;
console.log(`docs/ops.md: ${ops.length} ops, ${columns.length} backends, ${failed} with failures`);
process.exitCode = failed > 0 ? 1 : 0;
