import type { Verb } from '../verb.js';
import { benchVerb } from './bench.js';
import { doctorVerb } from './doctor.js';
import { generateVerb } from './generate.js';
import { inspectVerb } from './inspect.js';
import { logitsVerb } from './logits.js';
import { perplexityVerb } from './perplexity.js';

/** In the order of `frugal --help`. A new verb is its file and one entry here. */
export const verbs: readonly Verb[] = [
  inspectVerb,
  generateVerb,
  logitsVerb,
  perplexityVerb,
  benchVerb,
  doctorVerb,
];
