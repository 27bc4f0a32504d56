import { ArgumentError } from './errors.js';

/** Anything a scope ends: tensors and nodes of the tape. */
export interface ScopeMember {
  dispose(): void;
  /** Members that this one needs alive: a tensor its node, a node the nodes it leads to. */
  reaches?(): Iterable<ScopeMember>;
}

type Scope = Set<ScopeMember>;

const stack: Scope[] = [];

/** Enters something into the innermost scope, which disposes it at its end unless it escapes. */
export function enterScope(member: ScopeMember): void {
  if (stack.length > 0) stack[stack.length - 1].add(member);
}

/** Takes a tensor out of all scopes: it then lives until `dispose()`. Returns it. */
export function keep<T extends ScopeMember>(member: T): T {
  for (let i = stack.length - 1; i >= 0; i--) if (stack[i].delete(member)) break;
  return member;
}

/**
 * Runs `fn` and frees every tensor that was made inside, except those in its result (also inside arrays, maps,
 * sets and plain objects) and those passed to {@link keep}. Scopes nest; library loops open their own. `fn` must
 * be synchronous: read values after the scope, from tensors it returned.
 * @throws ArgumentError when `fn` returns a promise
 */
export function scope<T>(fn: () => T): T {
  const current: Scope = new Set();
  stack.push(current);
  try {
    const result = fn();
    if (result instanceof Promise) {
      throw new ArgumentError({
        where: 'scope',
        what: 'the function is asynchronous',
        expected: 'a synchronous function',
        hint: 'Return the tensors to read and await them outside the scope.',
      });
    }
    escapeAll(result, current, stack[stack.length - 2]);
    return result;
  } finally {
    stack.pop();
    for (const member of current) member.dispose();
  }
}

function escapeAll(result: unknown, from: Scope, to: Scope | undefined): void {
  const seen = new Set<object>();
  const pending: unknown[] = [result];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== 'object' || value === null || seen.has(value)) continue;
    seen.add(value);
    if (isMember(value)) {
      // Only members of this scope lead further: what lies outside was made earlier and cannot need them.
      if (!from.delete(value)) continue;
      to?.add(value);
      if (value.reaches) pending.push(...value.reaches());
    } else if (Array.isArray(value) || value instanceof Set) {
      pending.push(...value);
    } else if (value instanceof Map) {
      pending.push(...value.values());
    } else if (isPlain(value)) {
      pending.push(...Object.values(value));
    }
  }
}

function isMember(value: object): value is ScopeMember {
  return typeof (value as Partial<ScopeMember>).dispose === 'function';
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
