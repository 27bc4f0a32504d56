import { appendFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';

const NO_REASON = 'the test gives no reason (say it: context.skip(reason))';

/**
 * A vitest reporter for scripts/boot.mjs: writes the totals and what failed to FRUGAL_TEST_SUMMARY, and to
 * FRUGAL_SKIP_LOG one JSON line { what, why } for every reason to skip. A test names its reason with `context.skip('needs the native addon')`.
 */
// biome-ignore lint/style/noDefaultExport: vitest loads reporters by their default export
export default class SummaryReporter {
  #started = Date.now();

  onTestRunEnd(modules, errors) {
    const totals = { passed: 0, failed: errors.length, skipped: 0, files: modules.length };
    const failures = errors.map(({ message }) => message);
    const reasons = new Map();
    for (const module of modules) {
      const file = relative(process.cwd(), module.moduleId);
      totals.failed += module.errors().length;
      for (const { message } of module.errors()) failures.push(`${file}: ${message}`);
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === 'passed') totals.passed += 1;
        else if (result.state === 'failed') {
          totals.failed += 1;
          failures.push(`${file} › ${test.fullName}: ${result.errors[0]?.message}`);
        } else {
          totals.skipped += 1;
          const key = JSON.stringify([file, result.note ?? NO_REASON]);
          reasons.set(key, [...(reasons.get(key) ?? []), test.fullName]);
        }
      }
    }
    const summary = { ...totals, failures, seconds: Math.round((Date.now() - this.#started) / 100) / 10 };
    if (process.env.FRUGAL_TEST_SUMMARY)
      writeFileSync(process.env.FRUGAL_TEST_SUMMARY, JSON.stringify(summary));
    if (process.env.FRUGAL_SKIP_LOG) this.#log(reasons);
  }

  #log(reasons) {
    for (const [key, names] of reasons) {
      const [file, why] = JSON.parse(key);
      const what = names.length === 1 ? `${file} › ${names[0]}` : `${file} (${names.length} tests)`;
      appendFileSync(process.env.FRUGAL_SKIP_LOG, `${JSON.stringify({ what, why })}\n`);
    }
  }
}
