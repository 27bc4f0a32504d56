import { changeOf } from '../claim.js';
import { type Algorithms, measureAlgorithms } from '../measurements/algorithms.js';
import { commandOf, type Part } from '../part.js';

const name = 'algorithms';
const MARK = -50;

export const algorithms: Part<Algorithms> = {
  name,
  needsModel: false,
  packages: ['tensor-core', 'backend-cpu', 'models', 'distill', 'quant', 'trainer'],
  measure: measureAlgorithms,
  claims({ teacher, distilled, int8, loss, training }) {
    const percent = (value: number) => `${((100 * value) / teacher.bitsPerByte).toFixed(1)} %`;
    const quality = `costs ${percent(loss.difference)} (${percent(loss.low)} to ${percent(loss.high)}) more bits/byte than the teacher, so not at equal quality`;
    const share = (100 * training.student) / training.teacher;
    const row = (label: string, measure: string, value: number, note: string) => ({
      bar: { label, remains: 100 + value, promised: 100 + MARK },
      claim: '50–70 % less compute by the algorithmic measures together',
      ...{ measure, value, note, unit: '%', promised: '−50 to −70 %', command: commandOf(name) },
      verdict: value <= MARK ? ('holds in part' as const) : ('does not hold' as const),
    });
    return [
      row(
        'distilled: operations',
        'main job, teacher 2.5 M → distilled student 0.7 M: operations per token',
        changeOf(distilled.operations, teacher.operations),
        `${quality}; the student's training took another ${share.toFixed(0)} % of the teacher's operations`,
      ),
      row(
        'distilled, W8A8: time',
        'the same student in W8A8: processor time per prompt token, against the teacher in bf16',
        changeOf(int8.processorSecondsPerMillion, teacher.processorSecondsPerMillion),
        quality,
      ),
    ];
  },
};
