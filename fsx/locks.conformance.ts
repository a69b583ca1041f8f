/** What locks of open files do on every host. */
import type { LockOptions, OpenHandle } from './api/filesystem.ts'
import { codeOf, type FsxCase } from './fsx.conformance.ts'

const now: LockOptions = { wait: false }
const shared: LockOptions = { exclusive: false, wait: false }

/** Tell which of some bytes somebody else could lock. */
async function free(handle: OpenHandle, count: number): Promise<string> {
  let text = ''
  for (let start = 0; start < count; start++) {
    const exclusive = await codeOf(handle.lock({ start, length: 1, wait: false }))
    const isFree = exclusive === 'done' ? '.' : 'x'
    text += isFree === 'x' && (await codeOf(handle.lock({ ...shared, start, length: 1 }))) === 'done' ? 's' : isFree
    await handle.unlock({ start, length: 1 })
  }
  return text
}

/** What locks do. */
export const lockCases: readonly FsxCase[] = [
  {
    name: 'locks a file against another client that locks',
    async run({ fs, another }, expect) {
      await fs.write('/f', 'x')
      const one = await fs.promises.open('/f', 'r+')
      const two = await another().promises.open('/f', 'r+')
      await one.lock()
      expect(await codeOf(two.lock(now))).toBe('EAGAIN')
      expect(await two.lock(now).catch((error) => error)).toMatchObject({ errno: -11, syscall: 'fcntl' })
      expect(await codeOf(two.lock(shared))).toBe('EAGAIN')
      // Advisory: who does not ask is not hindered.
      await two.write('y', 0)
      await one.lock({ exclusive: false })
      await two.lock(shared)
      expect(await codeOf(one.lock(now))).toBe('EAGAIN')
      await two.close()
      await one.lock(now)
      await one.close()
      expect(await codeOf(one.lock())).toBe('EBADF')
      const reader = await fs.promises.open('/f', 'r')
      expect(await codeOf(reader.lock(now))).toBe('EBADF')
      await reader.lock(shared)
      await reader.close()
    },
  },
  {
    name: 'locks stretches, each of its open file',
    async run({ fs }, expect) {
      await fs.write('/f', 'x')
      const [one, two, three] = await Promise.all([1, 2, 3].map(() => fs.promises.open('/f', 'r+')))
      if (!one || !two || !three) throw new Error('not opened')
      await one.lock({ start: 2, length: 6 })
      await two.lock({ start: 8, wait: false })
      expect(await codeOf(two.lock({ start: 7, length: 1, wait: false }))).toBe('EAGAIN')
      expect(await free(three, 10)).toBe('..xxxxxxxx')
      await one.unlock({ start: 4, length: 2 })
      await one.lock({ start: 7, length: 1, exclusive: false })
      await two.unlock()
      expect(await free(three, 10)).toBe('..xx..xs..')
      // One again, from end to end.
      await one.lock({ start: 4, length: 4, wait: false })
      expect(await free(three, 10)).toBe('..xxxxxx..')
      expect(await codeOf(one.lock({ length: 0 }))).toBe('ERR_OUT_OF_RANGE')
      await one.unlock({ start: 3 })
      expect(await free(three, 10)).toBe('..x.......')
      await Promise.all([one.close(), two.close(), three.close()])
    },
  },
  {
    name: 'waits for a lock, as long as it is told to',
    async run({ fs, another }, expect) {
      await fs.write('/f', 'x')
      const one = await fs.promises.open('/f', 'r+')
      const two = await another().promises.open('/f', 'r+')
      await one.lock()
      const order: string[] = []
      const waiting = two.lock().then(() => order.push('two has it'))
      await fs.write('/other', 'x')
      order.push('one gives it back')
      await one.unlock()
      await waiting
      expect(order).toEqual(['one gives it back', 'two has it'])
      expect(await codeOf(one.lock({ wait: 1 }))).toBe('ETIMEDOUT')
      const abort = new AbortController()
      const aborted = codeOf(one.lock({ signal: abort.signal }))
      abort.abort()
      expect(await aborted).toBe('ABORT_ERR')
      expect(await codeOf(one.lock({ signal: abort.signal }))).toBe('ABORT_ERR')
      // Whoever gave up does not get it.
      await two.unlock()
      await two.lock(now)
      const closed = codeOf(one.lock())
      await one.close()
      expect(await closed).toBe('EBADF')
      await two.close()
    },
  },
  {
    name: 'refuses to wait for itself',
    async run({ fs, another }, expect) {
      await fs.write('/f', 'x')
      const one = await fs.promises.open('/f', 'r+')
      const two = await another().promises.open('/f', 'r+')
      await one.lock({ exclusive: false })
      await two.lock({ exclusive: false })
      const waiting = one.lock()
      expect(await codeOf(two.lock())).toBe('EDEADLK')
      await two.unlock()
      await waiting
      await one.close()
      await two.close()
    },
  },
  {
    name: 'keeps locks over a crash of the shard, and gives them back after it',
    async run(opened, expect) {
      const { fs } = opened
      await fs.write('/f', 'x')
      const one = await fs.promises.open('/f', 'r+')
      await one.lock({ start: 5 })
      const again = await opened.reopen(true)
      const two = await again.fs.promises.open('/f', 'r+')
      expect(await codeOf(two.lock(now))).toBe('EAGAIN')
      await two.lock({ length: 5, wait: false })
      const waiting = two.lock()
      await one.unlock()
      await waiting
      await two.close()
    },
  },
  {
    name: 'opens and locks in one, and knows files of forks apart',
    async run({ fs, another }, expect) {
      await using held = await fs.lock('/made')
      await held.write('x')
      expect(await fs.read('/made', 'utf8')).toBe('x')
      const other = another()
      expect(await codeOf(other.lock('/made', now))).toBe('EAGAIN')
      expect(await codeOf(other.lock('/none', shared))).toBe('ENOENT')
      const fork = await fs.fork('other')
      const apart = await fork.lock('/made', now)
      expect(await codeOf(fork.lock('/made', shared))).toBe('EAGAIN')
      await apart.close()
      await fs.snapshot()
      expect(await codeOf(other.lock('/made', now))).toBe('EAGAIN')
      await held.close()
      const mine = await other.lock('/made', now)
      await mine.close()
    },
  },
]
