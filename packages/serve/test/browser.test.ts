import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ApiKeys, hashApiKey, type ServeOptions, serveModels } from '../src/index.js';
import { chatModel, silentModel, tinyModel } from './support/tiny.js';

const paths = [
  process.env.CHROMIUM_PATH,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
const executablePath = paths.find((path) => path && existsSync(path));
let browser: Browser;

beforeAll(async () => {
  if (executablePath) browser = await chromium.launch({ executablePath, chromiumSandbox: false });
});
afterAll(() => browser?.close());

const models = () => [
  chatModel({ name: 'small' }),
  chatModel({ name: 'large' }),
  tinyModel({ name: 'plain' }),
];

/** The chat page in a browser of its own; what it complains about is collected. */
async function open(options: Partial<ServeOptions> = {}, context: Parameters<Browser['newContext']>[0] = {}) {
  const server = await serveModels({ models: models(), port: 0, ...options });
  const session = await browser.newContext(context);
  onTestFinished(async () => {
    await session.close();
    await server.close();
  });
  const page = await session.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().includes('401')) complaints.push(message.text());
  });
  const requests: string[] = [];
  page.on('request', (request) => requests.push(new URL(request.url()).origin));
  page.setDefaultTimeout(120_000);
  await page.goto(server.url);
  return { page, complaints, requests, origin: new URL(server.url).origin };
}

const ask = async (page: Page, text: string) => {
  await page.locator('#prompt').fill(text);
  await page.keyboard.press('Enter');
};
/** When an element is not hidden, however briefly: polling can miss what a small model does in between. */
const shown = (page: Page, selector: string) =>
  page.locator(selector).evaluate(
    (element: HTMLElement) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (!element.hidden) resolve();
        };
        new MutationObserver(look).observe(element, { attributes: true });
        look();
      }),
  );
const idle = (page: Page) => page.locator('#thread[aria-busy=false]').waitFor();

describe('the chat page in a browser', () => {
  beforeEach((context) => {
    if (!executablePath) context.skip('needs Chromium, where CHROMIUM_PATH says');
  });

  it('streams an answer, with its speed and memory, and goes on with the conversation', async () => {
    const { page, complaints, requests, origin } = await open();
    await page.locator('#settings-button').click();
    await page.locator('#max-tokens').fill('20');
    await page.locator('#seed').fill('1');
    await page.locator('#price').fill('1');
    await ask(page, 'Hello');
    await page.locator('article.assistant .facts').waitFor();
    await idle(page);
    const facts = await page.locator('article.assistant .facts').textContent();
    expect(facts).toMatch(/20 tokens/);
    expect(facts).toMatch(/tokens\/s/);
    expect(facts).toMatch(/per million tokens/);
    expect(facts).toMatch(/MiB/);
    await ask(page, 'And again');
    await page.locator('article.assistant').nth(1).locator('.facts').waitFor();
    await idle(page);
    expect(await page.locator('article').count()).toBe(4);
    expect(complaints).toEqual([]);
    expect(new Set(requests)).toEqual(new Set([origin]));
  });

  it('says so when a model has nothing to say', async () => {
    const { page, complaints } = await open({ models: [silentModel()] });
    await ask(page, 'Hello');
    await page.locator('article.assistant .facts').waitFor();
    await idle(page);
    expect(await page.locator('article.assistant .facts').textContent()).toMatch(/^1 token(?!s)/); // The one that ends it.
    expect(complaints).toEqual([]);
  });

  it('sets two models side by side', async () => {
    const { page, complaints } = await open();
    await page.locator('#other').selectOption('large');
    await ask(page, 'Hello');
    await page.locator('.side-by-side article .facts').nth(1).waitFor();
    await idle(page);
    expect(await page.locator('.side-by-side h3').allTextContents()).toEqual(['small', 'large']);
    const [left, right] = await page.locator('.side-by-side article').all();
    const [a, b] = [await left.boundingBox(), await right.boundingBox()];
    expect(a?.y).toBe(b?.y);
    expect(a?.x).toBeLessThan(b?.x ?? 0);
    expect(complaints).toEqual([]);
  });

  it('continues a text with a model that knows no roles, and stops at Escape', async () => {
    const { page, complaints } = await open();
    await page.locator('#model').selectOption('plain');
    expect(await page.locator('input[name=mode][value=chat]').isDisabled()).toBe(true);
    await page.locator('#max-tokens').evaluate((input: HTMLInputElement) => {
      input.value = '200';
    });
    const stoppable = shown(page, '#stop');
    await ask(page, 'Once');
    await stoppable;
    await page.keyboard.press('Escape');
    await idle(page);
    expect(await page.locator('article.completion .text').textContent()).toMatch(/^Once/);
    // However far it got before Escape, this much more fits into the context.
    await page.locator('#max-tokens').evaluate((input: HTMLInputElement) => {
      input.value = '8';
    });
    await page.locator('article.completion .facts button').click();
    await idle(page);
    await page.keyboard.press('Control+Shift+K');
    expect(await page.locator('article').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it('shows what a model says as text, and errors as such', async () => {
    const { page } = await open();
    await ask(page, '<img src=x onerror=alert(1)>');
    await idle(page);
    expect(await page.locator('article img').count()).toBe(0);
    await page.locator('#max-tokens').evaluate((input: HTMLInputElement) => {
      input.value = '100000';
    });
    await ask(page, 'too much');
    expect(await page.locator('.problem').textContent()).toContain('do not fit');
    expect(await page.locator('#prompt').inputValue()).toBe('too much');
  });

  it('asks for the key of a server that has one', async () => {
    const apiKeys = new ApiKeys([{ name: 'test', sha256: hashApiKey('right') }]);
    const { page, complaints } = await open({ apiKeys });
    await page.locator('#key').fill('wrong');
    await page.keyboard.press('Enter');
    await page.locator('#key').fill('right');
    await page.keyboard.press('Enter');
    await expect
      .poll(() => page.locator('#model option').allTextContents())
      .toEqual(['small', 'large', 'plain']);
    expect(complaints).toEqual([]);
  });

  it('fits a telephone, and is dark where the system is', async () => {
    const { page } = await open(
      {},
      { viewport: { width: 360, height: 640 }, hasTouch: true, colorScheme: 'dark' },
    );
    await page.locator('#other').selectOption('large');
    await page.locator('#prompt').fill('Hello');
    await page.locator('#send').click();
    await page.locator('.side-by-side article .facts').nth(1).waitFor();
    await idle(page);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    expect(wide).toBe(false);
    const [red] =
      (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g) ?? [];
    expect(Number(red)).toBeLessThan(60);
    const boxes = await page.locator('.side-by-side article').all();
    const [a, b] = [await boxes[0].boundingBox(), await boxes[1].boundingBox()];
    expect(a?.x).toBe(b?.x); // one below the other
  });
});
