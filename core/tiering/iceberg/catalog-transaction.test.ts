import { describe, expect, it } from 'vitest'
import { memoryObjects } from '../objects/memory.ts'
import type { ObjectStore } from '../objects/port.ts'
import { faulty } from '../objects/testing.ts'
import type { Catalog, TableName } from './catalog.ts'
import { fileCatalog } from './catalog-files.ts'
import { listAll } from './catalog-keys.ts'
import { checkMetadata } from './check.ts'
import { LakeFiles } from './files.ts'
import { isRequirementConflict } from './requirement.ts'
import { makeSchema } from './schema.ts'
import { testClock } from './testing.ts'
import type { CommitRequest } from './update.ts'

const schema = makeSchema([{ name: 'id', type: 'long' }])
const names: TableName[] = ['a', 'b', 'c'].map((name) => ({ namespace: ['db'], name }))

function catalogOf(store: ObjectStore, seed: number): Catalog {
  const clock = testClock(seed)
  return fileCatalog({ files: new LakeFiles({ store, root: 'file:///lake', chance: clock }), clock })
}

async function lakeOf(clock = testClock()): Promise<ObjectStore> {
  const store = memoryObjects(clock)
  const catalog = catalogOf(store, 99)
  await catalog.createNamespace(['db'])
  for (const name of names) await catalog.createTable(name, { schema })
  return store
}

const set = (key: string, value: string): CommitRequest => ({
  requirements: [],
  updates: [{ action: 'set-properties', updates: { [key]: value } }],
})
const setAll = (key: string, value: string) => names.map((table) => ({ table, request: set(key, value) }))

/** What the tables have under a key, in order; the metadata of each is checked by the way. */
async function read(catalog: Catalog, key: string): Promise<(string | undefined)[]> {
  const values: (string | undefined)[] = []
  for (const name of names) {
    const { metadata } = await catalog.loadTable(name)
    expect(checkMetadata(metadata)).toEqual([])
    expect(Object.keys(metadata)).not.toContain('dotdo.transaction')
    values.push(metadata.properties[key])
  }
  return values
}

/** A store whose process dies at its n-th request, before or after it takes effect. */
function dying(store: ObjectStore, at: number, isDone: boolean) {
  let requests = 0
  let die: (value: 'died') => void = () => {}
  const died = new Promise<'died'>((resolve) => {
    die = resolve
  })
  const strike = async <T>(work: () => Promise<T>): Promise<T> => {
    const now = requests++
    if (now < at) return work()
    if (now === at && isDone) await work()
    die('died')
    return new Promise(() => {})
  }
  const doomed: ObjectStore = {
    get: (...args) => strike(() => store.get(...args)),
    head: (...args) => strike(() => store.head(...args)),
    put: (...args) => strike(() => store.put(...args)),
    delete: (...args) => strike(() => store.delete(...args)),
    list: (...args) => strike(() => store.list(...args)),
    multipart: (...args) => strike(() => store.multipart(...args)),
  }
  return { store: doomed, died }
}

describe('a commit of several tables', () => {
  it.each([false, true])('is all or nothing, wherever its process dies (request done: %s)', async (isDone) => {
    const outcomes = new Set<string>()
    for (let at = 0; ; at++) {
      const store = await lakeOf()
      const doom = dying(store, at, isDone)
      const work = catalogOf(doom.store, 1).commitTables(setAll('x', '1'))
      const end = await Promise.race([work.then(() => 'done' as const), doom.died])
      const seen = await read(catalogOf(store, 2), 'x')
      expect(new Set(seen).size).toBe(1)
      outcomes.add(`${seen[0]}`)
      // Whatever is open stops nobody, is not brought back later, and what was committed stays.
      const after = catalogOf(store, 3)
      await after.commitTable(names[1] as TableName, set('y', '2'))
      await after.commitTables(setAll('z', '3'))
      const fresh = catalogOf(store, 4)
      expect(await read(fresh, 'x')).toEqual(seen)
      expect(await read(fresh, 'y')).toEqual([undefined, '2', undefined])
      expect(await read(fresh, 'z')).toEqual(['3', '3', '3'])
      if (end === 'done') break
    }
    expect(outcomes).toEqual(new Set(['undefined', '1']))
  })

  it('is seen whole by readers whose process has seen the tables before', async () => {
    for (let at = 0; ; at++) {
      const store = await lakeOf()
      const reader = catalogOf(store, 2)
      await read(reader, 'x')
      const doom = dying(store, at, true)
      const work = catalogOf(doom.store, 1).commitTables(setAll('x', '1'))
      const end = await Promise.race([work.then(() => 'done' as const), doom.died])
      expect(new Set(await read(reader, 'x')).size).toBe(1)
      expect(new Set(await read(reader, 'x')).size).toBe(1)
      if (end === 'done') break
    }
  })

  it('is never seen in part while it runs', async () => {
    const store = await lakeOf()
    const [writer, reader] = [catalogOf(store, 1), catalogOf(store, 2)]
    let isDone = false
    const work = writer.commitTables(setAll('x', '1')).then(() => {
      isDone = true
    })
    while (!isDone) {
      const values = await read(reader, 'x')
      // Read one after the other: what comes later may be newer, never older.
      const first = values.indexOf('1')
      if (first >= 0) expect(values.slice(first)).toEqual(values.slice(first).map(() => '1'))
    }
    await work
    expect(await read(reader, 'x')).toEqual(['1', '1', '1'])
  })

  it('and others that meet it end, and each is whole', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const store = await lakeOf()
      const results = await Promise.allSettled(
        [1, 2, 3].map((n) => catalogOf(store, seed * 10 + n).commitTables(setAll(`x${n}`, '1'))),
      )
      const singles = await catalogOf(store, seed * 10 + 4).commitTable(names[2] as TableName, set('s', '1'))
      expect(singles.metadata.properties.s).toBe('1')
      for (const [at, result] of results.entries()) {
        const values = await read(catalogOf(store, 5), `x${at + 1}`)
        const isCommitted = result.status === 'fulfilled'
        if (!isCommitted) expect(isRequirementConflict(result.reason)).toBe(true)
        expect(values).toEqual(values.map(() => (isCommitted ? '1' : undefined)))
      }
      expect(results.some(({ status }) => status === 'fulfilled')).toBe(true)
    }
  })

  it('says what became of it, when the store misbehaves', async () => {
    const rates = { refused: 0.05, throttled: 0.02, failed: 0.05, lost: 0.1, late: 0.05, contended: 0.05 }
    for (let seed = 1; seed <= 60; seed++) {
      const memory = await lakeOf()
      const clock = testClock(seed)
      const store = faulty(memory, { clock, unit: () => clock.random() / 2 ** 48, rates, slowMs: 50 })
      const outcome = await catalogOf(store, seed)
        .commitTables(setAll('x', '1'))
        .then(
          () => 'done',
          (error) => error,
        )
      store.heal()
      const reader = catalogOf(memory, 2)
      const values = await read(reader, 'x')
      expect(new Set(values).size).toBe(1)
      if (outcome === 'done') expect(values[0]).toBe('1')
      else if (outcome.code !== 'unavailable') expect(values[0]).toBe(undefined)
      // Late requests come now, and change nothing that a commit has settled.
      await catalogOf(memory, 1_000).commitTables(setAll('y', '2'))
      const settled = await read(reader, 'x')
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
      expect(await read(catalogOf(memory, 4), 'x')).toEqual(settled)
    }
  })

  it('removes its record a day later, when every table has gone on', async () => {
    const clock = testClock(7)
    const store = await lakeOf(clock)
    const files = new LakeFiles({ store, root: 'file:///lake', chance: clock })
    const catalog = fileCatalog({ files, clock })
    const records = async () => (await listAll(store, '_transactions/')).objects.length
    await catalog.commitTables(setAll('x', '1'))
    expect(await records()).toBe(1)
    clock.nowMsIs += 2 * 86_400_000
    await catalog.commitTables(setAll('x', '2'))
    expect(await records()).toBe(1)
    expect(await read(catalogOf(store, 1), 'x')).toEqual(['2', '2', '2'])
  })

  it('does not make tables', async () => {
    const catalog = catalogOf(await lakeOf(), 1)
    const missing = { table: { namespace: ['db'], name: 'no' }, request: set('x', '1') }
    await expect(catalog.commitTables([...setAll('x', '1'), missing])).rejects.toMatchObject({ code: 'unsupported' })
    expect(await read(catalog, 'x')).toEqual([undefined, undefined, undefined])
  })
})
