import type { LayerRouting } from '@frugal/moe';
import { formatChange, renderTable } from '@frugal/report';

/** Bits per byte of held-out text, by domain. */
export type Scores = Readonly<Record<string, number>>;

interface Rows {
  readonly base: Scores;
  readonly 'specialist of the domain': Scores;
  readonly 'mixture of three': Scores;
  readonly 'a fourth added': Scores;
}

/** The table of the run, and what it says about the claims of the example. */
export function printMixture(
  rows: Rows,
  { first, added }: { readonly first: readonly string[]; readonly added: string },
): void {
  const domains = [...first, added];
  const columns = [{ title: 'bits per byte' }, ...domains.map((title) => ({ title, decimals: 4 }))];
  const cells = Object.entries(rows).map(([name, scores]: [string, Scores]) => [
    name,
    ...domains.map((domain) => scores[domain]),
  ]);
  console.log(`\n${renderTable(columns, cells)}\n`);
  const change = (before: Scores, after: Scores, of: readonly string[]) =>
    of.map((domain) => `${domain} ${formatChange(before[domain], after[domain])}`).join(', ');
  const {
    base,
    'specialist of the domain': own,
    'mixture of three': mixed,
    'a fourth added': extended,
  } = rows;
  console.log(`mixture against specialists:       ${change(own, mixed, first)}`);
  console.log(`mixture against the base:          ${change(base, mixed, first)}`);
  console.log(`what the fourth domain changed:    ${change(mixed, extended, first)}`);
  console.log(`the fourth against its specialist: ${change(own, extended, [added])}`);
}

/** Where the routers of the final model send the domains. */
export function printSpecialization(layers: readonly LayerRouting[]): void {
  const columns = [
    { title: 'layer' },
    { title: 'specialization', decimals: 3 },
    ...layers[0].domains.map(({ name }) => ({ title: `${name} → own expert`, decimals: 1, unit: '%' })),
  ];
  // Shares of tokens: each makes `chosen` choices, and one of them can be its own expert.
  const cells = layers.map(({ path, specialization, domains, chosen }) => [
    path,
    specialization,
    ...domains.map(({ load }, expert) => 100 * chosen * load[expert]),
  ]);
  console.log(`\n${renderTable(columns, cells)}`);
}
