import type { AdapterName, ModelCard } from '../engine/contract.js';

/** What requests call an adapter of a model. */
export const adapterModelName = ({ model, adapter }: AdapterName): string => `${model}:${adapter}`;

/** The model, and perhaps the adapter, that a request's `model` names. A model's own name wins. */
export function modelNamed(
  name: string,
  cards: readonly ModelCard[],
): { readonly model: string; readonly adapter?: string } {
  if (cards.some((card) => card.name === name)) return { model: name };
  for (const { name: model, adapters } of cards) {
    const adapter = adapters.find((each) => adapterModelName({ model, adapter: each }) === name);
    if (adapter !== undefined) return { model, adapter };
  }
  return { model: name };
}
