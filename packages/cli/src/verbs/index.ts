import type { Verb } from '../verb.js';
import { benchVerb } from './bench.js';
import { chatVerb } from './chat.js';
import { compressVerbs } from './compress.js';
import { convertVerb } from './convert.js';
import { dataVerb } from './data/data.js';
import { distillVerb } from './distill.js';
import { doctorVerb } from './doctor.js';
import { generateVerb } from './generate.js';
import { inspectVerb } from './inspect.js';
import { logitsVerb } from './logits.js';
import { perplexityVerb } from './perplexity.js';
import { pretrainVerb } from './pretrain.js';
import { serveVerb } from './serve.js';

/** In the order of `frugal --help`: along the way of a model. A new verb is its file and one entry here. */
export const verbs: readonly Verb[] = [
  dataVerb,
  pretrainVerb,
  distillVerb,
  ...compressVerbs,
  convertVerb,
  inspectVerb,
  generateVerb,
  chatVerb,
  serveVerb,
  logitsVerb,
  perplexityVerb,
  benchVerb,
  doctorVerb,
];
