import type { FastifyInstance } from 'fastify';

/** What a page of another origin may read of an answer. */
const exposed = [
  'x-request-id',
  'retry-after',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
].join(', ');

/**
 * Lets pages of these origins use the API from a browser (`*`: of all). Without it browsers let no other page read an
 * answer; as a body must be JSON, they do not even send one. Keys travel in a header, so there are no cookies to allow.
 */
export function allowOrigins(app: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return;
  const all = origins.includes('*');
  app.addHook('onRequest', async (request, reply) => {
    reply.header('vary', 'Origin');
    const { origin } = request.headers;
    if (origin === undefined || !(all || origins.includes(origin))) return;
    reply.header('access-control-allow-origin', all ? '*' : origin);
    reply.header('access-control-expose-headers', exposed);
    if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined)
      return;
    return reply
      .code(204)
      .header('access-control-allow-methods', 'GET, POST, DELETE')
      .header('access-control-allow-headers', request.headers['access-control-request-headers'] ?? '')
      .header('access-control-max-age', 600)
      .send();
  });
}
