import { type Experts, measureExperts } from '../measurements/experts.js';
import { commandOf, type Part } from '../part.js';

const name = 'experts';
const MARK = -70;

/** How many tokens a step of the benchmark `moe` has. */
const together = (row: string) => /(\d+) tokens? a step/.exec(row)?.[1];

export const experts: Part<Experts> = {
  name,
  needsModel: false,
  packages: ['tensor-core', 'backend-cpu', 'models', 'moe'],
  measure: measureExperts,
  claims({ parameters, flopsPerToken, rows }) {
    const row = (label: string, measure: string, value: number, note: string) => ({
      bar: { label, remains: 100 + value, promised: 100 + MARK },
      claim: '70 % lower inference cost by sparse experts',
      ...{ measure, value, note, unit: '%', promised: '−70 %', command: commandOf(name) },
      verdict:
        value <= MARK
          ? ('holds' as const)
          : value <= MARK / 2
            ? ('holds in part' as const)
            : ('does not hold' as const),
    });
    return [
      row(
        'experts: operations',
        `8 of 64 experts and one shared, ${(parameters / 1e6).toFixed(0)} M parameters in int4: operations per token, dense of the same size`,
        100 * (flopsPerToken.ratio - 1),
        'memory stays the same',
      ),
      ...rows.map((each) =>
        row(
          `experts: time, ${together(each.name)} at once`,
          `the same: time per token, ${together(each.name)} at once`,
          100 * (each.ratio - 1),
          `${each.ours.toFixed(2)} against ${each.theirs.toFixed(2)} ms${/16 tokens/.test(each.name) ? ': 16 tokens together need nearly all experts' : ''}`,
        ),
      ),
    ];
  },
};
