import { setTimeout as sleep } from 'node:timers/promises';
import { existsSync } from 'node:fs';
import { it } from 'vitest';
import { createServer, EngineError } from '../src/index.js';
const texts: any = {
  chat: 'Three Kingdoms (三国演义) tells how the Han dynasty fell apart.\n\n1. Liu Bei, Guan Yu and Zhang Fei swear an oath in the peach garden.\n2. Cao Cao gathers the north under his command.\n3. Sun Quan holds the lands south of the river.\n\n“The empire, long divided, must unite; long united, must divide.”',
  complete: ' of the United States, and to the people of every State, I submit the following report on the condition of the Union. 话说天下大势，分久必合，合久必分。',
};
it('demo', { timeout: 1e9 }, async () => {
  const cards = [{ name: 'student-int8', contextLength: 512, chat: true, created: 1 }, { name: 'base-6.8M', contextLength: 256, chat: false, created: 1 }];
  const engine: any = {
    models: () => cards, stats: () => ({ waiting: 0, running: 0 }), close: async () => {},
    async *submit(r: any) {
      if (r.maxTokens > 400) throw new EngineError('context-length-exceeded', { what: 'prompt and answer do not fit into the context', got: '38 tokens in the prompt and 500 to generate', expected: 'at most 512 together', hint: 'Shorten the prompt, or ask for fewer tokens.' });
      yield { type: 'start', promptTokens: 12 };
      await sleep(120);
      const words = (r.prompt.messages ? texts.chat : texts.complete).match(/[\u4e00-\u9fff]|\s*[^\s\u4e00-\u9fff]+|\s+/g);
      let n = 0;
      for (const w of words) { if (r.signal.aborted) { yield { type: 'finish', reason: 'abort', usage: { promptTokens: 12, completionTokens: n } }; return; } if (n >= r.maxTokens) break; n++; yield { type: 'text', text: w }; await sleep(20); }
      yield { type: 'finish', reason: n >= r.maxTokens ? 'length' : 'stop', usage: { promptTokens: 12, completionTokens: n } };
    },
  };
  const app = createServer(engine);
  console.log(await app.listen({ port: 8123 }));
  while (!existsSync('/tmp/serve-demo/stop')) await sleep(500);
  await app.close();
});
