import { activationOps } from './activation.js';
import { attentionOps } from './attention.js';
import { binaryOps } from './binary.js';
import { creationOps } from './creation.js';
import type { OpDefinitions } from './definition.js';
import { groupedOps } from './grouped.js';
import { indexingOps, mutationOps } from './indexing.js';
import { linalgOps } from './linalg.js';
import { linearOps } from './linear.js';
import { lossOps } from './loss.js';
import { matmulOps } from './matmul.js';
import { movementOps } from './movement.js';
import { normOps } from './norm.js';
import { optimizerOps } from './optimizer.js';
import { packedOps } from './packed.js';
import { quantizedOptimizerOps } from './quantized-optimizer.js';
import { reduceOps } from './reduce.js';
import { ropeOps } from './rope.js';
import { samplingOps } from './sampling.js';
import { softmaxOps } from './softmax.js';
import { unaryOps } from './unary.js';

/** Every op, by name. TypeScript checks that the table is complete. */
export const operations: OpDefinitions = {
  ...creationOps,
  ...unaryOps,
  ...binaryOps,
  ...reduceOps,
  ...movementOps,
  ...indexingOps,
  ...mutationOps,
  ...matmulOps,
  ...linearOps,
  ...linalgOps,
  ...softmaxOps,
  ...samplingOps,
  ...activationOps,
  ...normOps,
  ...ropeOps,
  ...attentionOps,
  ...lossOps,
  ...optimizerOps,
  ...quantizedOptimizerOps,
  ...packedOps,
  ...groupedOps,
};
