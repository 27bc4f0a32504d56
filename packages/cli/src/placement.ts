import { type Backend, currentBackend } from '@frugal/tensor-core';
import { type CausalLM, placeBlocks } from '@frugal/tensor-core/nn';
import { InvalidArgumentError } from 'commander';
import { type BackendName, backendNames, candidates } from './backend-candidates.js';
import { UsageError } from './errors.js';

/** Blocks of a model that another backend computes. */
export interface NamedPlace {
  readonly backend: BackendName;
  readonly first: number;
  readonly last: number;
}

const EXPECTED = `a backend (${backendNames.join(', ')}) and blocks: cuda=0-11, or cpu=3`;

/** The option of verbs that run models which may be larger than a card. May be given several times. */
export const PLACE_OPTION = [
  '--place <BACKEND=BLOCKS>',
  'computes these blocks of the model there (cuda=0-11), the others on --backend; again for more',
  (text: string, before: readonly NamedPlace[] = []): readonly NamedPlace[] => {
    const place = parsePlace(text);
    if (!place) throw new InvalidArgumentError(`Expected ${EXPECTED}.`);
    return [...before, place];
  },
] as const;

/** Places as a file of settings has them. @throws UsageError */
export function placesOf(
  places: Readonly<Record<string, string | number>> | undefined,
): readonly NamedPlace[] | undefined {
  return (
    places &&
    Object.entries(places).map(([name, blocks]) => {
      const place = parsePlace(`${name}=${blocks}`);
      if (place) return place;
      const [what, got] = ['blocks are placed nowhere', `${name}: ${blocks}`];
      throw new UsageError({ where: 'backend.place', what, got, expected: EXPECTED });
    })
  );
}

function parsePlace(text: string): NamedPlace | null {
  const [, name, first, last = first] = /^(\w+)=(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  const backend = backendNames.find((known) => known === name);
  return backend ? { backend, first: Number(first), last: Number(last) } : null;
}

/** Opens each backend once, and the one that the model lies on not again. @throws ArgumentError for blocks that do not exist */
export async function spread(model: CausalLM, places: readonly NamedPlace[]): Promise<void> {
  const home = currentBackend();
  const opened = new Map<string, Backend>([[home.name, home]]);
  const open = (name: BackendName) => {
    const backend = opened.get(name) ?? candidates[name].open({});
    opened.set(name, backend);
    return backend;
  };
  await placeBlocks(
    model,
    places.map(({ backend, first, last }) => ({ first, last, backend: open(backend) })),
  );
}
