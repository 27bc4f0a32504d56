import { cpuBackend } from '@frugal/backend-cpu';
import { setBackend, Random, scope, noGrad } from '@frugal/tensor-core';
for (const threads of [1,2]) {
setBackend(cpuBackend({threads})); const r = new Random(1);
for (const [M,N,K,ta,tb] of [[2048,256,256,0,1],[2048,688,256,0,1],[2048,256,688,0,0],[688,256,2048,1,0],[2048,4096,256,0,1],[4096,256,2048,1,0],[2048,256,4096,0,0],[192,192,192,0,0],[1024,1024,1024,0,0]]) {
 const a = ta ? r.normal([K,M]).transpose() : r.normal([M,K]); const b = tb ? r.normal([N,K]).transpose() : r.normal([K,N]);
 for (const dt of ['f32','bf16']) { const A=a.cast(dt),B=b.cast(dt); A.matmul(B).dispose(); const ts=[]; for(let i=0;i<9;i++){const t=performance.now(); A.matmul(B).dispose(); ts.push(performance.now()-t);} ts.sort((x,y)=>x-y);
 console.log(threads,dt,M,N,K,ta,tb,(2*M*N*K/ts[0]/1e6).toFixed(0)+' GF best', (2*M*N*K/ts[4]/1e6).toFixed(0)+' median'); }
}}
