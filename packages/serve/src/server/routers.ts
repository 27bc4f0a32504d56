import { ApiError } from './api-error.js';

/**
 * A name that stands for several models: it looks at the text of a request and says which one gets it, such as the cheapest
 * that is good enough (`ModelRouter` of `@frugal/moe`).
 */
export interface Router {
  /** All that it may choose, as requests would name them. */
  readonly models: readonly string[];
  choose(text: string): string;
}

/** The model that a request is for: the one it names, or the one that the router of that name chooses. */
export function routed(
  name: string,
  routers: Readonly<Record<string, Router>>,
  text: () => string | null,
): string {
  if (!Object.hasOwn(routers, name)) return name;
  const read = text();
  if (read !== null) return routers[name].choose(read);
  const message = `'${name}' chooses a model by the text of the prompt: send text, not token ids.`;
  throw new ApiError(400, 'invalid_value', message, 'prompt');
}
