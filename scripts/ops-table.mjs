#!/usr/bin/env node
/**
 * Writes docs/ops.md: which op runs on which backend in which dtypes, found by running the conformance suite here. Needs
 * `npm run build`; a backend that cannot run keeps out of the table, with the reason. FRUGAL_CUDA_ALLOW_CPU=1 lets
 * TensorFlow's processor kernels stand for those of a GPU.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpuBackend } from '../packages/backend-cpu/dist/index.js';
import { cudaBackend } from '../packages/backend-cuda/dist/index.js';
import { conformanceCases, conformanceTasks } from '../packages/tensor-core/dist/conformance/index.js';
import { hasKernel, operations, primitiveOps, referenceBackend } from '../packages/tensor-core/dist/index.js';

const order = ['f32', 'bf16', 'f16', 'i32', 'i8', 'u8', 'bool'];
const candidates = [
  ['reference', () => referenceBackend()],
  ['cpu', () => cpuBackend()],
  ['cuda', () => cudaBackend()],
];

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

const columns = [];
const missing = [];
for (const [name, open] of candidates) {
  try {
    const backend = open();
    columns.push({ name, description: backend.description, found: await examine(backend) });
  } catch (error) {
    missing.push(`- ${name}: ${error.message}`);
  }
}
// Views run no kernel anywhere.
const ops = Object.keys(operations).filter(
  (op) => !operations[op].view && columns.some(({ found }) => found.has(op)),
);
const rows = ops.map((op) => {
  const name = primitiveOps.includes(op) ? `**${op}**` : op;
  return `| ${name} | ${columns.map(({ found }) => cell(found.get(op))).join(' | ')} |`;
});
const page = `# Ops and backends

Made by \`node scripts/ops-table.mjs\` from a run of the conformance suite; not edited by hand. Every dtype stands for all cases of
the suite with it: those of an upright one ran in a kernel of the backend, those of an *italic* one were composed by core from
other ops at least once, and ~~struck~~ ones failed. Every backend must have the **bold** ops.

${columns.map(({ name, description }) => `- ${name}: ${description.replace(`${name}: `, '')}`).join('\n')}
${missing.join('\n')}
| op | ${columns.map(({ name }) => name).join(' | ')} |
|---|${columns.map(() => '---|').join('')}
${rows.join('\n')}
`;
writeFileSync(join(import.meta.dirname, '../docs/ops.md'), page);
const failed = rows.filter((row) => row.includes('~~')).length;
console.log(`docs/ops.md: ${ops.length} ops, ${columns.length} backends, ${failed} with failures`);
process.exitCode = failed > 0 ? 1 : 0;
