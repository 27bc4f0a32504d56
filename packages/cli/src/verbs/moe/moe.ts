import type { Verb } from '../../verb.js';
import { inspectRoutingVerb } from './inspect.js';
import { mixVerb } from './mix.js';
import { upcycleVerb } from './upcycle.js';

export const moeVerb: Verb = (program, context) => {
  const moe = program
    .command('moe')
    .description('mixtures of experts: make them of dense models or of specialists, look into them')
    .addHelpText(
      'after',
      '\nExamples:\n  frugal moe upcycle runs/dense --experts 16 --active 4 --fine-grained 4 --text book.txt --out runs/sparse',
    );
  for (const addTo of [inspectRoutingVerb, upcycleVerb, mixVerb]) addTo(moe, context);
};
