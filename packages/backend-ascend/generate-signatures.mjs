#!/usr/bin/env node
/**
 * Writes src/abi/signatures.ts: the parameters of the ops that this backend calls, in the order of CANN's headers.
 * Usage: generate-signatures.mjs SIGNATURES.json, where that file maps `aclnnAdd` to { params: [[name, type], …] } as read
 */
import { readFileSync, writeFileSync } from 'node:fs';

const OPS =
  `Neg Abs Sign Exp Log Sqrt Rsqrt Sin Cos Tanh Sigmoid Erf Floor IsFinite LogicalNot Cast NanToNum Clamp
  Add Sub Mul Div PowTensorTensor Maximum Minimum EqTensor LtTensor LeTensor NeScalar GeScalar SWhere
  InplaceFillScalar Arange InplaceCopy Cat ReduceSum Amax ArgMax Cumsum Sort GatherV2 Gather IndexAdd ScatterAdd
  InplaceIndexCopy Matmul Silu GeluV2 Softmax LogSoftmax SoftmaxBackward RmsNorm`.split(/\s+/);

const all = JSON.parse(readFileSync(process.argv[2], 'utf8'));

/** Types of the parameters but for the last two, which every phase 1 has. */
function typesOf(op) {
  const { params } = all[`aclnn${op}`];
  const ends = params.slice(-2).map(([, type]) => type);
  if (ends.join() !== 'out u64,out ptr') throw new Error(`aclnn${op} ends with ${ends}`);
  return params.slice(0, -2).map(([, type]) => type);
}

const lines = OPS.map((op) => {
  const types = typesOf(op).map((type) => `'${type.replace('(i32)', '')}'`);
  return `  ${op}: [${types.join(', ')}],`;
});
writeFileSync(
  new URL('src/abi/signatures.ts', import.meta.url),
  `// Written by generate-signatures.mjs from CANN's headers: change the list there.

/** Parameters of phase 1 before workspaceSize and executor. */
export const signatures = {
${lines.join('\n')}
} as const;
`,
);
