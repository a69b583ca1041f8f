/** kill -9 of a process that works on a filesystem: what was acknowledged is there, and the tables keep their rules. */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { fsx } from './index.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const ROUNDS = Number(process.env.DOTDO_KILLS ?? 2)

/** Let a process work until it has told so much.
 *  @returns what it told */
async function workAndKill(folder: string, round: number, lines: number): Promise<string[]> {
  const child = spawn(process.execPath, ['scripts/run.mjs', 'fsx/kill.testing.ts', folder, String(round)], {
    cwd: root,
  })
  let errors = ''
  child.stderr.on('data', (text) => {
    errors += text
  })
  const told: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    told.push(line)
    if (told.length === lines) child.kill('SIGKILL')
  }
  if (told.length < lines) throw new Error(`the process ended by itself: ${errors}`)
  return told
}

it('survives kill -9 with what was acknowledged', { timeout: 60_000 * ROUNDS }, async () => {
  const { path: folder, remove } = temporaryFolder()
  const expected = new Map<string, boolean>()
  for (let round = 0; round < ROUNDS; round++) {
    const told = new Set<string>()
    for (const line of await workAndKill(folder, round, 100 + ((round * 37) % 300))) {
      const [what = '', path = ''] = line.split(' ')
      expected.set(path, what === 'made')
      told.add(path)
    }
    const isLast = round === ROUNDS - 1
    const fs = await fsx({ dotdo: { data: folder, durability: 'normal' }, cold: `${folder}/cold` })
    expect(await fs.fsck()).toEqual([])
    for (const [path, isThere] of expected) {
      // What earlier rounds told is looked at once more, at the end.
      if (!isLast && !told.has(path)) continue
      const i = Number(/\d+$/.exec(path)?.[0])
      const found = await fs.promises.readFile(path).catch(({ code }) => code)
      // What was told last may have been done and not told: removed, though it was made.
      if (isThere && found !== 'ENOENT') expect(found.equals(Buffer.alloc((i * 7919) % 150_000, `${i} `))).toBe(true)
      else if (isThere) expect(i % 3).toBe(1)
      else expect(found).toBe('ENOENT')
    }
    const { coldBytes } = await fs.tiers.status()
    expect(coldBytes).toBeGreaterThan(0)
    // What the process left half done in the store is gone after a pass, and nothing else is.
    await fs.tiers.run()
    await fs.tiers.run()
    const { objects } = await fs.tiers.status()
    await fs.close()
    expect(readdirSync(`${folder}/cold/_fsx/default`)).toHaveLength(objects)
  }
  remove()
})
