import type { GgufLayout, ModelConfig } from '@frugal/tensor-core/nn';
import { toTheirs } from '../families/family.js';
import { familyOf } from '../registry.js';
import { inverseOrder, pairedRows } from '../weights/row-order.js';
import { architectureFor } from './gguf-weights.js';

/** Experts are stacked, and the keys and values of MLA split. */
const HAS_NONE = /\.sites\.\d+$|(^|\.)latentUp$/;

/** How the files of llama.cpp hold a model of this config. @throws ModelConfigError for architectures that are not written as GGUF here */
export function ggufLayout(config: ModelConfig): GgufLayout {
  const architecture = architectureFor(config);
  const names = familyOf(config).ggufNames?.(config);
  const isTiedHead = (path: string) => path === 'head' && config.tie_word_embeddings === true;
  return {
    architecture: architecture.name,
    tensorName(path) {
      const name = names && toTheirs(names, path);
      return name === undefined || isTiedHead(path) || HAS_NONE.test(path) ? undefined : `${name}.weight`;
    },
    rowOrder(path, rows) {
      const order = architecture.rowOrder?.(path, config);
      return order ? inverseOrder(pairedRows(rows, order.headSize)) : null;
    },
  };
}
