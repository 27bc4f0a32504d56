import { defineKernels } from './kernels.js';
import { logSumExp } from './softmax.js';
import { readFloats, readIndices, writeFloats } from './values.js';

export const lossKernels = defineKernels<
  'crossEntropy' | 'crossEntropyBackward' | 'klDivergence' | 'klDivergenceBackward'
>({
  crossEntropy: ([logits, targets], [losses, totals], { ignoreIndex }) => {
    const x = readFloats(logits);
    const chosen = readIndices(targets);
    const [N, V] = logits.shape;
    const sums = Float64Array.from({ length: N }, (_, n) => logSumExp(x, n * V, V));
    writeFloats(losses, (out) => {
      for (let n = 0; n < N; n++) out[n] = chosen[n] === ignoreIndex ? 0 : sums[n] - x[n * V + chosen[n]];
    });
    writeFloats(totals, (out) => out.set(sums));
  },

  crossEntropyBackward: ([gradient, logits, targets, totals], [output], { ignoreIndex }) => {
    const [g, x, total] = [readFloats(gradient), readFloats(logits), readFloats(totals)];
    const chosen = readIndices(targets);
    const [N, V] = logits.shape;
    writeFloats(output, (out) => {
      for (let n = 0; n < N; n++) {
        for (let v = 0; v < V; v++) {
          const difference = Math.exp(x[n * V + v] - total[n]) - (v === chosen[n] ? 1 : 0);
          out[n * V + v] = chosen[n] === ignoreIndex ? 0 : g[n] * difference;
        }
      }
    });
  },

  klDivergence: ([student, teacher], [losses, studentTotals, teacherTotals], { temperature }) => {
    const [s, t] = [readFloats(student), readFloats(teacher)];
    const [N, V] = student.shape;
    const sumsOf = (x: Float32Array) =>
      Float64Array.from({ length: N }, (_, n) => logSumExp(x, n * V, V, 1 / temperature));
    const [studentSums, teacherSums] = [sumsOf(s), sumsOf(t)];
    writeFloats(losses, (out) => {
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let i = n * V; i < (n + 1) * V; i++) {
          const logTeacher = t[i] / temperature - teacherSums[n];
          const logStudent = s[i] / temperature - studentSums[n];
          const probability = Math.exp(logTeacher);
          // A token that the teacher rules out adds nothing, whatever the student says.
          if (probability > 0) sum += probability * (logTeacher - logStudent);
        }
        out[n] = sum;
      }
    });
    writeFloats(studentTotals, (out) => out.set(studentSums));
    writeFloats(teacherTotals, (out) => out.set(teacherSums));
  },

  klDivergenceBackward: (
    [gradient, student, teacher, studentTotals, teacherTotals],
    [output],
    { temperature },
  ) => {
    const [g, s, t] = [readFloats(gradient), readFloats(student), readFloats(teacher)];
    const [studentSums, teacherSums] = [readFloats(studentTotals), readFloats(teacherTotals)];
    const [N, V] = student.shape;
    writeFloats(output, (out) => {
      for (let n = 0; n < N; n++) {
        for (let i = n * V; i < (n + 1) * V; i++) {
          const difference =
            Math.exp(s[i] / temperature - studentSums[n]) - Math.exp(t[i] / temperature - teacherSums[n]);
          out[i] = (g[n] / temperature) * difference;
        }
      }
    });
  },
});
