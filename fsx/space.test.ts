/** Space against a model: whatever is written, taken, freed and cut, the bytes are those that a buffer would have. */
import { expect, it } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { openIn } from './testing.ts'

it.each([1, 2, 3, 4])('reads what was written, whatever is taken and freed: seed %i', async (seed) => {
  const folder = temporaryFolder()
  const fs = await openIn(folder.path)
  let state = seed * 104_729
  const random = (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * below)
  }
  const place = () => [random(40_000), random(5) * 65_536 + random(3), random(300_000)][random(3)] as number
  let model = Buffer.alloc(0)
  const resize = (size: number) => {
    model = Buffer.concat([model.subarray(0, size), Buffer.alloc(Math.max(0, size - model.length))])
  }
  const handle = await fs.promises.open('/f', 'w+')
  await fs.setQuota({ bytes: 1e9 })
  for (let i = 0; i < 150; i++) {
    const [offset, length] = [place(), 1 + place()]
    const what = random(8)
    if (what <= 1) {
      const bytes = Buffer.alloc(length, 1 + random(255))
      await handle.write(bytes, 0, length, offset)
      resize(Math.max(model.length, offset + length))
      bytes.copy(model, offset)
    } else if (what === 2) {
      await handle.allocate(offset, length)
      resize(Math.max(model.length, offset + length))
    } else if (what === 3) await handle.allocate(offset, length, { keepSize: true })
    else if (what === 4) {
      await handle.deallocate(offset, length)
      model.subarray(offset, offset + length).fill(0)
    } else if (what === 5) {
      await handle.truncate(offset)
      resize(offset)
    } else if (what === 6 && random(4) === 0) await fs.snapshot()
    else if (what === 7 && random(4) === 0) {
      const [oldest] = await fs.snapshots.list()
      if (oldest !== undefined) await fs.snapshots.remove(oldest)
    }
    expect((await fs.read('/f')).equals(model)).toBe(true)
    if (i % 10 === 0) expect(await fs.fsck()).toEqual([])
  }
  expect(await fs.fsck()).toEqual([])
  await handle.close()
  await fs.close()
  folder.remove()
})
