import { describe, expect, it } from 'vitest'
import { openTestShard } from '../host/node/testing.ts'
import type { Program, Tx } from './program.ts'
import { shapeOf } from './row-codec.ts'
import { type Entry, identityOf, RowMap } from './row-map.ts'
import { type Table, table } from './table.ts'

type WordRow = { slot: number; word: string; count: number }

const declare = (more: Partial<Table<WordRow>> = {}) =>
  table<WordRow>({
    name: 'words',
    collection: 'words',
    columns: { slot: 'integer', word: 'bin', count: 'integer' },
    primaryKey: ['slot', 'word'],
    buffered: true,
    document: (row) => row,
    documentId: ({ word }) => word ?? '',
    ...more,
  })

/** Every row of the table shares one hash: what holds then holds for the few that do by chance. */
const colliding = declare({ identity: { hash: () => 7, same: (a, b) => a.slot === b.slot && a.word === b.word } })

const entryOf = (word: string): Entry => {
  return {
    row: undefined,
    key: { slot: 1, word },
    hash: 7,
    next: undefined,
    generation: 0,
    maybeInSql: true,
    isOwed: false,
    sizeBytes: 0,
  }
}

describe('a map of rows', () => {
  const identity = identityOf(shapeOf(colliding, 1))
  const words = (map: RowMap) => [...map].map(({ key }) => key.word).sort()

  it('tells rows of one hash apart, wherever in their chain one is taken out', () => {
    for (const out of ['a', 'b', 'c']) {
      const map = new RowMap(identity)
      const entries = ['a', 'b', 'c'].map(entryOf)
      for (const entry of entries) map.add(entry)
      const gone = entries.find(({ key }) => key.word === out) as Entry
      expect(map.delete(gone)).toBe(true)
      expect(map.delete(gone)).toBe(false)
      expect(map.size).toBe(2)
      expect(words(map)).toEqual(['a', 'b', 'c'].filter((word) => word !== out))
      expect(map.find(7, { slot: 1, word: out })).toBeUndefined()
      for (const entry of entries) if (entry !== gone) expect(map.find(7, { ...entry.key })).toBe(entry)
    }
  })

  it('may be emptied while it is walked', () => {
    const map = new RowMap(identity)
    for (const word of ['a', 'b', 'c']) map.add(entryOf(word))
    let walked = 0
    for (const entry of map) {
      walked++
      map.delete(entry)
    }
    expect([walked, map.size]).toEqual([3, 0])
  })
})

describe('the identity of a table', () => {
  it('looks at every key column when none is declared', () => {
    const { hash, same } = identityOf(shapeOf(declare(), 1))
    const row = { slot: 3, word: 'tree' }
    expect(hash({ ...row, count: 1 })).toBe(hash({ ...row, count: 2 }))
    expect(same({ ...row, count: 1 }, { ...row, count: 2 })).toBe(true)
    for (const other of [
      { ...row, slot: 4 },
      { ...row, word: 'trees' },
    ]) {
      expect(same(row, other)).toBe(false)
      expect(hash(row)).not.toBe(hash(other))
    }
  })

  it('compares blobs by their bytes', () => {
    const bytes = table<{ slot: number; id: Uint8Array }>({
      name: 'bytes',
      collection: 'bytes',
      columns: { slot: 'integer', id: 'blob' },
      primaryKey: ['slot', 'id'],
      buffered: true,
      document: () => ({}),
      documentId: () => '',
    })
    const { hash, same } = identityOf(shapeOf(bytes, 1))
    const key = (...id: number[]) => ({ slot: 1, id: Uint8Array.from(id) })
    expect(same(key(1, 2), key(1, 2))).toBe(true)
    expect(same(key(1, 2), key(1, 3))).toBe(false)
    expect(hash(key(1, 2))).toBe(hash(key(1, 2)))
    expect(hash(key(1, 2))).not.toBe(hash(key(2, 1)))
  })
})

describe('a buffered table whose rows share a hash', () => {
  const program: Program = {
    name: 'words',
    tables: [colliding],
    run(tx: Tx, { name, args }) {
      const probe = { slot: 1, word: args as string }
      if (name === 'get') return tx.find(colliding, probe)?.count ?? null
      if (name === 'remove') return tx.remove(colliding, probe)
      tx.put(colliding, { ...probe, count: (tx.find(colliding, probe)?.count ?? 0) + 1 })
      return null
    },
  }

  it.each([2, 1_000])('keeps them apart through small caches, removal and reopening, %i dirty', async (dirtyRows) => {
    const limits = { cachedRows: 3, dirtyRows, drainRows: 1 }
    let test = await openTestShard([program], { limits })
    const words = Array.from({ length: 20 }, (_, i) => `w${i}`)
    const counts = new Map<string, number>()
    for (let i = 0; i < 200; i++) {
      const word = words[(i * 7) % words.length] as string
      if (i % 11 === 10) {
        expect(await test.call('words', 'remove', word)).toBe(counts.delete(word))
        continue
      }
      await test.call('words', 'add', word)
      counts.set(word, (counts.get(word) ?? 0) + 1)
      if (i % 50 === 49) test = await test.reopen({ crash: i % 100 === 49 })
    }
    for (const word of words) expect(await test.call('words', 'get', word)).toBe(counts.get(word) ?? null)
    test.close()
  })
})
