/** Contents of files in benchmarks/results. */
type Results = unknown;

export function claimsMarkdown(results: Results): string;
export function peersMarkdown(resultOf: (name: string) => Results): string;
export function predictionsMarkdown(results: Results): string;
export function replaceBetween(page: string, name: string, text: string): string;
