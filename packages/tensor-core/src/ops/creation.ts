import { checkShape } from '../shape.js';
import { defineOps } from './definition.js';

export const creationOps = defineOps<'fill' | 'arange' | 'randomUniform' | 'randomNormal'>({
  fill: {
    infer: (_, { shape, dtype }) => {
      checkShape('fill', shape);
      return [{ shape, dtype }];
    },
  },
  arange: {
    infer: (_, { count, dtype }) => {
      checkShape('arange', [count]);
      return [{ shape: [count], dtype }];
    },
  },
  randomUniform: {
    infer: (_, { shape, dtype }) => {
      checkShape('randomUniform', shape);
      return [{ shape, dtype }];
    },
  },
  randomNormal: {
    infer: (_, { shape, dtype }) => {
      checkShape('randomNormal', shape);
      return [{ shape, dtype }];
    },
  },
});
