/** What watching a filesystem does on every host. */
import type { Changes, FileSystem, PathChange } from './api/filesystem.ts'
import type { FsxCase } from './fsx.conformance.ts'

/** Notes what is told, so that a test can wait until something was. */
function noted<T extends unknown[]>() {
  const events: T[] = []
  let wake = () => {}
  return {
    events,
    hear: (...event: T) => {
      events.push(event)
      wake()
    },
    async until(matches: (event: T) => boolean): Promise<T> {
      for (;;) {
        const found = events.find(matches)
        if (found !== undefined) return found
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}

/** Watch, until somebody closes. */
function watching(fs: FileSystem, path: string, options: object = {}) {
  const { events, hear, until } = noted<[string, string | null]>()
  const watcher = fs.watch(path, options, hear as never)
  return { events, watcher, hears: (type: string, name: string | null) => until(([a, b]) => a === type && b === name) }
}

async function take(changes: Changes, count: number): Promise<string[]> {
  const taken: string[] = []
  while (taken.length < count) {
    const { value } = (await changes.next()) as { value: PathChange }
    taken.push(`${value.kind} ${value.path}`)
  }
  return taken
}

/** What watching does. */
export const watchCases: readonly FsxCase[] = [
  {
    name: 'watches a directory: names that come, go, and change',
    async run({ fs }, expect) {
      await fs.write('/d/there', 'x')
      const { watcher, events, hears } = watching(fs, '/d')
      await fs.promises.writeFile('/d/new', '')
      await fs.promises.writeFile('/elsewhere', 'x')
      await fs.promises.appendFile('/d/there', 'y')
      await fs.promises.chmod('/d/there', 0o600)
      await fs.promises.rename('/d/new', '/d/moved')
      await fs.promises.mkdir('/d/sub')
      await fs.promises.writeFile('/d/sub/below', 'x')
      await fs.promises.unlink('/d/moved')
      await hears('rename', 'sub')
      await fs.promises.writeFile('/d/last', '')
      await hears('rename', 'last')
      const told = events.map((event) => event.join(' '))
      expect([...new Set(told)]).toEqual(
        expect.arrayContaining(['rename new', 'change there', 'rename moved', 'rename sub']),
      )
      expect(told.filter((one) => /elsewhere|below|change (new|moved|sub)/.test(one))).toEqual([])
      const closed = new Promise((resolve) => watcher.on('close', () => resolve('closed')))
      watcher.close()
      expect(await closed).toBe('closed')
      const after = watching(fs, '/d')
      await fs.promises.writeFile('/d/after', '')
      await after.hears('rename', 'after')
      expect(events.map(([, name]) => name)).not.toContain('after')
    },
  },
  {
    name: 'watches all below a directory, when asked to, wherever it is moved',
    async run({ fs }, expect) {
      await fs.write('/d/a/b/f', 'x')
      const { events, hears } = watching(fs, '/d', { recursive: true })
      const flat = watching(fs, '/d')
      await fs.promises.appendFile('/d/a/b/f', 'y')
      await hears('change', 'a/b/f')
      await fs.promises.rename('/d', '/e')
      await fs.promises.writeFile('/e/a/g', '')
      await hears('rename', 'a/g')
      await fs.promises.rm('/e/a', { recursive: true })
      await hears('rename', 'a/b/f')
      await hears('rename', 'a')
      // Itself, under the name by which it was watched.
      expect(events.map((event) => event.join(' '))).toContain('rename d')
      await flat.hears('rename', 'a')
      expect(flat.events.map(([, name]) => name).filter((name) => name?.includes('/'))).toEqual([])
    },
  },
  {
    name: 'watches a file, all names of it, and its end',
    async run({ fs }, expect) {
      await fs.write('/d/f', 'x')
      await fs.promises.link('/d/f', '/other')
      const { events, hears } = watching(fs, '/d/f')
      const deep = watching(fs, '/', { recursive: true, encoding: 'hex' })
      await fs.promises.appendFile('/other', 'y')
      await hears('change', 'f')
      for (const name of ['d/f', 'other']) await deep.hears('change', Buffer.from(name).toString('hex'))
      await fs.promises.writeFile('/d/g', 'x')
      await fs.promises.unlink('/d/f')
      await fs.promises.unlink('/other')
      await hears('rename', 'f')
      expect(events.map(([, name]) => name).filter((name) => name !== 'f')).toEqual([])
    },
  },
  {
    name: 'says what cannot be watched, and stops when told',
    async run({ fs }, expect) {
      const errors = noted<[Error & { code: string }]>()
      try {
        fs.watch('/none').on('error', errors.hear as never)
      } catch (error) {
        errors.hear(error as never)
      }
      const [error] = await errors.until(() => true)
      expect(error).toMatchObject({ code: 'ENOENT', syscall: 'watch', path: '/none' })
      expect(() => fs.watch('/', { recursive: 1 as never })).toThrow('"options.recursive"')
      await fs.write('/mine', 'x')
      await fs.promises.chmod('/mine', 0o600)
      const refused = fs.as({ uid: 1, gid: 1 }).promises.watch('/mine')
      const first = refused[Symbol.asyncIterator]().next()
      expect(await first.catch(({ code }) => code)).toBe('EACCES')
      const abort = new AbortController()
      const iterator = fs.promises.watch('/', { signal: abort.signal })[Symbol.asyncIterator]()
      const next = iterator.next()
      abort.abort()
      expect(await next.catch(({ name }) => name)).toBe('AbortError')
      const watcher = fs.watch('/', { signal: AbortSignal.abort() })
      await new Promise<void>((resolve) => watcher.on('close', resolve))
    },
  },
  {
    name: 'iterates over what is watched',
    async run({ fs }, expect) {
      await fs.write('/d/f', 'x')
      const iterator = fs.promises.watch('/d', { encoding: 'buffer' })[Symbol.asyncIterator]()
      const first = iterator.next()
      await fs.promises.appendFile('/d/f', 'y')
      expect((await first).value).toEqual({ eventType: 'change', filename: Buffer.from('f') })
      await fs.promises.unlink('/d/f')
      await fs.promises.writeFile('/d/g', '')
      expect((await iterator.next()).value).toMatchObject({ eventType: 'rename', filename: Buffer.from('f') })
      expect((await iterator.next()).value).toMatchObject({ filename: Buffer.from('g') })
      expect(await iterator.return?.()).toMatchObject({ done: true })
    },
  },
  {
    name: 'watches what stat tells',
    async run({ fs }, expect) {
      const { events, hear, until } = noted<[{ size: number }, { size: number }]>()
      fs.watchFile('/f', { interval: 0 }, hear as never)
      await until(([now, before]) => now.size === 0 && before.size === 0)
      await fs.write('/f', 'abc')
      await until(([now, before]) => now.size === 3 && before.size === 0)
      await fs.promises.appendFile('/f', 'de')
      const other = () => {}
      fs.watchFile('/f', other)
      fs.unwatchFile('/f', other)
      await until(([now, before]) => now.size === 5 && before.size === 3)
      await fs.promises.unlink('/f')
      await until(([now, before]) => now.size === 0 && before.size === 5)
      fs.unwatchFile('/f')
      const seldom = noted<[{ size: bigint }]>()
      const often = noted<[{ size: bigint }]>()
      fs.watchFile('/g', { interval: 1e9, bigint: true }, seldom.hear as never)
      await seldom.until(({ 0: { size } }) => size === 0n)
      const { watchFile } = fs.as({ uid: 0, gid: 0 })
      watchFile('/g', { interval: 0, bigint: true }, often.hear as never)
      await often.until(({ 0: { size } }) => size === 0n)
      for (const text of ['a', 'ab', 'abc']) {
        await fs.promises.writeFile('/g', text)
        await often.until(({ 0: { size } }) => size === BigInt(text.length))
      }
      expect(seldom.events.length).toBe(2)
      expect(events.length).toBe(4)
    },
  },
  {
    name: 'goes on watching when its shard is opened again',
    async run(opened) {
      await opened.fs.write('/d/f', 'x')
      const { hears } = watching(opened.fs, '/d')
      await opened.fs.promises.appendFile('/d/f', 'y')
      await hears('change', 'f')
      const { fs } = await opened.reopen()
      await fs.promises.writeFile('/d/after', '')
      await hears('rename', 'after')
    },
  },
  {
    name: 'tells another client, after a crash, what changed since a position',
    async run(opened, expect) {
      const { fs } = opened
      await fs.write('/d/f', 'x')
      const changes = await fs.changes()
      await fs.promises.appendFile('/d/f', 'y')
      await fs.promises.writeFile('/g', '')
      expect(await take(changes, 1)).toEqual(['changed /d/f'])
      const { position } = changes
      await fs.promises.rename('/d', '/e')
      await fs.promises.appendFile('/e/f', 'z')
      await changes.return?.()
      const again = (await opened.reopen(true)).fs
      const since = await again.changes({ since: position })
      expect(await take(since, 4)).toEqual(['added /g', 'removed /d', 'added /e', 'changed /e/f'])
      expect(await again.changes({ since: 'x' }).catch(({ code }) => code)).toBe('ERR_INVALID_ARG_VALUE')
      // The history is another one.
      const lost = await again.changes({ since: 'abc.1.5' })
      expect(await take(lost, 1)).toEqual(['all /'])
      await again.promises.writeFile('/h', '')
      expect(await take(lost, 1)).toEqual(['added /h'])
    },
  },
  {
    name: 'tells of a filesystem its own changes: not of snapshots, nor of forks',
    async run({ fs }, expect) {
      await fs.write('/d/f', 'x')
      await fs.snapshot('then')
      await fs.snapshot('merged')
      await fs.write('/d/early', 'x')
      const fork = await fs.fork('other')
      const [main, other, past] = [await fs.changes(), await fork.changes(), await fs.at('then').changes()]
      await fork.promises.writeFile('/d/in-fork', '')
      await fs.promises.appendFile('/d/f', 'y')
      // Rows go to another layer, and nothing changes.
      await fs.snapshots.remove('merged')
      await fork.promises.unlink('/d/f')
      await fs.promises.writeFile('/d/last', '')
      expect(await take(main, 2)).toEqual(['changed /d/f', 'added /d/last'])
      expect(await take(other, 2)).toEqual(['added /d/in-fork', 'removed /d/f'])
      const { id } = await fs.snapshot()
      await fs.promises.unlink('/d/last')
      // The log is read before the names are back.
      expect(await take(main, 1)).toEqual(['removed /d/last'])
      await fs.restore(id)
      expect(await take(main, 1)).toEqual(['all /'])
      const end = past.next()
      await past.return?.()
      expect((await end).done).toBe(true)
    },
  },
  {
    name: 'tells nobody of what they may not list',
    async run({ fs }, expect) {
      await fs.mkdir('/secret/open')
      await fs.mkdir('/open')
      await fs.promises.chmod('/secret', 0o711)
      const changes = await fs.as({ uid: 1, gid: 1 }).changes()
      await fs.promises.writeFile('/secret/open/f', '')
      await fs.promises.writeFile('/open/f', '')
      expect(await take(changes, 1)).toEqual(['added /open/f'])
    },
  },
]
