import { describeFinding, properties, runSeed, type PropertyName } from './run.ts'
const [from, to, only] = process.argv.slice(2)
for (const property of Object.keys(properties) as PropertyName[]) {
  if (only && only !== property) continue
  const start = performance.now()
  let bad = 0, n = 0
  const kinds = new Map<string, [number, number]>()
  for (let seed = Number(from); seed < Number(to); seed++) {
    n++
    const finding = await runSeed(property, seed, process.env.TRACE ? console.log : undefined)
    if (finding) { bad++; const m = String((finding.error as Error)?.message).replaceAll(/x?\d+/g, 'N').slice(0, 60); const k = kinds.get(m); if (k) k[0]++; else kinds.set(m, [1, seed]); if (bad <= Number(process.env.SHOW ?? 1)) console.log(describeFinding(finding)) }
  }
  console.log(property, n, 'seeds', bad, 'bad', ((performance.now() - start) / n).toFixed(2), 'ms/seed')
  for (const [m, [c, s]] of kinds) console.log(c, 'first', s, m)
}
