/** A process that works on a filesystem until it is killed, and says what was acknowledged: `made PATH`, `gone PATH`.
 *
 *    node scripts/run.mjs fsx/kill.testing.ts FOLDER ROUND */
import { fsx } from './index.ts'

const [folder = '', round = ''] = process.argv.slice(2)
const fs = await fsx({ dotdo: { data: folder, durability: 'normal' }, cold: `${folder}/cold` })
await fs.tiers.set({ olderThan: '0s', keep: '0s' })
const base = `/round${round}`
await fs.mkdir(base)

/** Take a snapshot and a fork, and let go of what is older. */
async function rotate(name: string): Promise<void> {
  const [snapshots, forks] = [await fs.snapshots.list(), await fs.forks.list()]
  await fs.snapshot(name)
  await fs.fork(name)
  for (const { id } of snapshots.slice(0, -2)) await fs.snapshots.remove(id)
  for (const old of forks.slice(0, -1)) await fs.forks.remove(old.name)
}

/** One of several that work at the same time. */
async function work(worker: number): Promise<void> {
  const own = `${base}/w${worker}`
  await fs.mkdir(own)
  for (let i = 0; ; i++) {
    const path = `${own}/f${i}`
    await fs.promises.writeFile(`${path}.new`, Buffer.alloc((i * 7919) % 150_000, `${i} `))
    await fs.promises.rename(`${path}.new`, path)
    process.stdout.write(`made ${path}\n`)
    if (worker === 0 && i % 4 === 0) await rotate(`${round}.${i}`)
    if (i % 3 !== 2) continue
    const old = `${own}/f${i - 1}`
    const handle = await fs.promises.open(old)
    await fs.promises.unlink(old)
    process.stdout.write(`gone ${old}\n`)
    if (i % 2 === 0) await handle.close()
  }
}

/** Let content leave, all the time. */
async function tier(): Promise<void> {
  for (;;) await fs.tiers.run()
}

await Promise.all([...[0, 1, 2].map(work), tier()])
