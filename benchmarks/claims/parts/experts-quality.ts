import { changeOf } from '../claim.js';
import { type ExpertsQuality, measureExpertsQuality } from '../measurements/experts-quality.js';
import { commandOf, type Part } from '../part.js';

const name = 'experts-quality';
/** More bits per byte, in percent, that count as the same quality. */
const SAME = 1;

export const expertsQuality: Part<ExpertsQuality> = {
  name,
  needsModel: false,
  packages: ['tensor-core', 'backend-cpu', 'models', 'moe', 'trainer'],
  measure: measureExpertsQuality,
  claims({ tokens, sparse, dense, loss }) {
    const percent = (value: number) => (100 * value) / dense.bitsPerByte;
    const fewer = -changeOf(sparse.operations, dense.operations);
    return [
      {
        claim: '70 % lower inference cost by sparse experts',
        measure:
          'small models trained alike, 2 of 8 experts and one shared: bits/byte against dense of the same size',
        promised: 'the same quality',
        value: percent(loss.difference),
        unit: '%',
        interval: [percent(loss.low), percent(loss.high)],
        verdict:
          percent(loss.low) <= SAME
            ? percent(loss.high) <= SAME
              ? 'holds'
              : 'holds in part'
            : 'does not hold',
        note: `${tokens / 1000} k tokens each; ${fewer.toFixed(0)} % fewer operations per token, as embedding and attention are most of so small a model`,
        command: commandOf(name),
      },
    ];
  },
};
