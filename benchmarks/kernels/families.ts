import { attentionFamily } from './attention.js';
import type { KernelFamily } from './case.js';
import { groupedFamily } from './grouped.js';
import { matmulFamily } from './matmul.js';
import { packedFamily } from './packed.js';
import { rowsFamily } from './rows.js';

/** Every family that `npm run bench -- kernels` measures, in the order of the results. */
export const families: readonly KernelFamily[] = [
  matmulFamily,
  groupedFamily,
  packedFamily,
  attentionFamily,
  rowsFamily,
];
