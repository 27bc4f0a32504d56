import { it } from 'vitest';
import { referenceBackend } from './index.js';
import { checkingModes, conformanceTasks } from './conformance/index.js';
it('profile', async () => {
  const b = referenceBackend();
  const byMode: Record<string, number> = {}; const all: [number,string][] = [];
  for (const mode of checkingModes) { const t0=performance.now(); let n=0; for (const t of conformanceTasks(mode)) { const t1=performance.now(); await t.run(b); n++; all.push([performance.now()-t1, mode+' '+t.name]); } byMode[mode+' '+n]=performance.now()-t0; }
  console.log(byMode); all.sort((a,b)=>b[0]-a[0]); console.log(all.slice(0,25).map(([t,n])=>t.toFixed(0)+' '+n).join('\n'));
}, 100000);
