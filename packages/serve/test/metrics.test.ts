import { expect, it } from 'vitest';
import { startServer } from './support/server.js';

/** Samples of the text format by name and labels. */
function samples(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

it('count requests, tokens and times, without any text', async () => {
  const { app, post } = startServer();
  const ask = (body: object) =>
    post('/v1/completions', { model: 'tiny', prompt: 'my secret', temperature: 0, ...body });
  await ask({ max_tokens: 5 });
  await ask({ max_tokens: 3, stream: true });
  await ask({ max_tokens: -1 });
  await ask({ model: 'my secret model' });
  const response = await app.inject({ url: '/metrics' });
  expect(response.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
  const values = samples(response.body);
  expect(values.get('frugal_completion_tokens_total{model="tiny"}')).toBe(8);
  expect(values.get('frugal_prompt_tokens_total{model="tiny"}')).toBe(20);
  expect(values.get('frugal_finished_total{model="tiny",reason="length"}')).toBe(2);
  expect(values.get('frugal_time_to_first_token_seconds_count{model="tiny"}')).toBe(2);
  expect(values.get('frugal_inter_token_seconds_count{model="tiny"}')).toBeGreaterThan(0);
  expect(values.get('frugal_request_seconds_count{route="/v1/completions",status="200"}')).toBe(2);
  expect(values.get('frugal_request_seconds_count{route="/v1/completions",status="400"}')).toBe(1);
  expect(values.get('frugal_request_seconds_count{route="/v1/completions",status="404"}')).toBe(1);
  expect(values.get('frugal_engine_up')).toBe(1);
  expect(values.get('frugal_requests_waiting')).toBe(0);
  expect(values.get('frugal_cache_tokens')).toBeGreaterThan(0);
  expect(values.get('nodejs_eventloop_lag_p99_seconds')).toBeDefined();
  expect(response.body).not.toContain('secret');
});
