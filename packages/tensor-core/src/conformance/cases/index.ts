import type { ConformanceCase } from '../case.js';
import { activationCases } from './activation.js';
import { attentionCases } from './attention.js';
import { binaryCases } from './binary.js';
import { creationCases } from './creation.js';
import { groupedCases } from './grouped.js';
import { indexingCases } from './indexing.js';
import { linalgCases } from './linalg.js';
import { linearCases } from './linear.js';
import { lossCases } from './loss.js';
import { matmulCases } from './matmul.js';
import { movementCases } from './movement.js';
import { normCases } from './norm.js';
import { optimizerCases } from './optimizer.js';
import { packedCases } from './packed.js';
import { quantizedOptimizerCases } from './quantized-optimizer.js';
import { reduceCases } from './reduce.js';
import { ropeCases } from './rope.js';
import { samplingCases } from './sampling.js';
import { softmaxCases } from './softmax.js';
import { unaryCases } from './unary.js';

/** Every case of every op; names are unique. */
export const conformanceCases: readonly ConformanceCase[] = [
  ...creationCases,
  ...unaryCases,
  ...binaryCases,
  ...reduceCases,
  ...movementCases,
  ...indexingCases,
  ...matmulCases,
  ...linearCases,
  ...linalgCases,
  ...softmaxCases,
  ...samplingCases,
  ...activationCases,
  ...normCases,
  ...ropeCases,
  ...attentionCases,
  ...lossCases,
  ...optimizerCases,
  ...quantizedOptimizerCases,
  ...packedCases,
  ...groupedCases,
];
