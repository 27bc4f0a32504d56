import { median } from '../../shared/statistics.js';
import { type Claim, changeOf, type Verdict } from '../claim.js';
import { type Cost, measureCost } from '../measurements/cost.js';
import { commandOf, type Part } from '../part.js';

const name = 'cost';
/** Dollars per hour: only ratios are claimed, and these do not depend on it. */
const PRICE = 0.1;
const MARK = 20;

/** More bits per byte, in percent, that count as the same quality. */
const SAME = 1;

/** It holds at the same quality alone. */
function verdictOf(share: number, loss: number): Verdict {
  if (share > 50) return 'does not hold';
  return share <= MARK && loss <= SAME ? 'holds' : 'holds in part';
}

export const cost: Part<Cost> = {
  name,
  needsModel: true,
  packages: ['tensor-core', 'backend-cpu', 'models', 'serve', 'compress', 'quant'],
  measure: measureCost,
  claims({ ways, peer, streams, promptTokens, newTokens }) {
    const find = (wanted: string) => ways.find((way) => way.name === wanted);
    const dense = find('Frugal bf16');
    const dollars = (speed: readonly number[]) => (PRICE / 3600 / median(speed)) * 1e6;
    const rows: Claim[] = [];
    for (const [other, label] of [
      [find('llama.cpp bf16'), `llama.cpp (${peer})`],
      [dense, 'Frugal'],
    ] as const) {
      for (const way of ways.filter(({ loss }) => loss !== null)) {
        if (!other || !dense?.bitsPerByte || !way.loss) continue;
        const ratios = way.speed.map((speed, i) => (100 * other.speed[i]) / speed);
        const value = median(ratios);
        const percent = (bits: number) => (100 * bits) / (dense.bitsPerByte as number);
        rows.push({
          bar: {
            label: `${way.name.split(' ')[1]}, bf16 ${label.split(' ')[0]}`,
            remains: value,
            promised: MARK,
          },
          claim: '20 % of the operating cost',
          measure: `SmolLM2-135M ${way.name.split(' ')[1]}, ${streams} streams of ${promptTokens} + ${newTokens} tokens: cost per million new tokens against bf16 in ${label}`,
          promised: '20 %',
          value,
          unit: '% of it',
          interval: [Math.min(...ratios), Math.max(...ratios)],
          verdict: verdictOf(value, percent(way.loss.high)),
          note: `$${dollars(way.speed).toFixed(3)} against $${dollars(other.speed).toFixed(3)} at $${PRICE} an hour (${median(way.speed).toFixed(0)} against ${median(other.speed).toFixed(0)} tokens/s: cost ${changeOf(value, 100).toFixed(0).replace('-', '−')} %); ${percent(way.loss.difference).toFixed(2)} % (${percent(way.loss.low).toFixed(2)} to ${percent(way.loss.high).toFixed(2)} %) more bits/byte`,
          command: commandOf(name),
        });
      }
    }
    return rows;
  },
};
