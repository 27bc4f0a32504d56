import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { chatPage } from './chat-page.js';

const { html, contentSecurityPolicy } = chatPage();

describe('chatPage', () => {
  it('is one document that refers to nothing outside', () => {
    expect(html).not.toMatch(/<link[^>]+stylesheet|<script[^>]+src=|@import|url\(/);
    const addresses = html.match(/https?:\/\/[^\s"'`)]+/g) ?? [];
    expect(addresses).toEqual(['http://www.w3.org/2000/svg']);
  });

  it('has a policy that allows exactly its own styles and script', () => {
    const parts = [...html.matchAll(/<(style|script type="module")>([\s\S]*?)<\/(?:style|script)>/g)];
    expect(parts.map(([, tag]) => tag)).toEqual(['style', 'style', 'style', 'script type="module"']);
    for (const [, tag, source] of parts) {
      const hash = `'sha256-${createHash('sha256').update(source).digest('base64')}'`;
      const directive = tag === 'style' ? 'style-src' : 'script-src';
      expect(contentSecurityPolicy).toMatch(new RegExp(`${directive}[^;]* ${hash.replace(/[+/]/g, '\\$&')}`));
    }
    expect(contentSecurityPolicy).toContain("default-src 'none'");
  });

  it('has what its script looks for', () => {
    const ids = new Set([...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
    const wanted = [...html.matchAll(/byId\('([^']+)'\)/g)].map(([, id]) => id);
    expect(wanted.length).toBeGreaterThan(10);
    expect(wanted.filter((id) => !ids.has(id))).toEqual([]);
  });
});
