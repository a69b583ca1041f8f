/** Calls that read with SQL what calls wrote to memory: when they are run twice, and what reaches SQL. */
import { afterEach, expect, test } from 'vitest'
import { openTestShard, type TestShard } from '../host/node/testing.ts'
import type { Program, Tx } from './program.ts'
import { table } from './table.ts'

type ItemRow = { slot: number; key: string }

const items = table<ItemRow>({
  name: 'test_items',
  collection: 'items',
  columns: { slot: 'integer', key: 'bin' },
  primaryKey: ['slot', 'key'],
  withoutRowid: true,
  buffered: true,
  document: ({ key }) => ({ key }),
  documentId: ({ key }) => String(key),
})

let open: TestShard | undefined
afterEach(() => open?.close())

/** Run the pieces of work in one group, each as a call of its own.
 *  @returns how often each was run, and what it answered last */
async function runAll(...works: ((tx: Tx) => unknown)[]): Promise<{ runs: number[]; replies: unknown[] }> {
  const runs = works.map(() => 0)
  const program: Program = {
    name: 'test',
    tables: [items],
    run(tx, { args }) {
      const at = args as number
      runs[at] = (runs[at] as number) + 1
      return works[at]?.(tx) ?? null
    },
  }
  open = await openTestShard([program], {})
  const calls = works.map((_, args) => ({ program: 'test', name: 'work', slot: 1, epoch: 1, args }))
  return { replies: await open.shard.submit(calls), runs }
}

const put = (tx: Tx, slot: number, key: string, isNew?: boolean) => tx.put(items, { slot, key }, isNew)

function count(tx: Tx, slot: number): number {
  tx.settle(items, slot, slot)
  return tx.all('select key from test_items where slot = ?', slot).length
}

const names = (tx: Tx, slot: number, limit: number) =>
  tx.unsettled(items, slot, limit)?.map(({ key, row }) => [key.key, row !== undefined])

test('a call that has written is run once when what it reads with SQL is of earlier calls', async () => {
  const { runs, replies } = await runAll(
    (tx) => put(tx, 2, 'earlier'),
    (tx) => {
      put(tx, 1, 'a')
      return count(tx, 2)
    },
  )
  expect(replies[1]).toBe(1)
  expect(runs).toEqual([1, 1])
})

test('a call that reads with SQL what it has written is run again, in a savepoint', async () => {
  const { runs, replies } = await runAll((tx) => {
    put(tx, 1, 'a')
    return count(tx, 1)
  })
  expect(replies).toEqual([1])
  expect(runs).toEqual([2])
})

test('a call that has changed much is run again rather than searched', async () => {
  const { runs, replies } = await runAll((tx) => {
    for (let i = 0; i < 1_000; i++) put(tx, 1, `${i}`)
    return count(tx, 2)
  })
  expect(replies).toEqual([0])
  expect(runs).toEqual([2])
})

test('rows in memory only are told, those that have gone among them, up to a limit', async () => {
  const { runs, replies } = await runAll(
    (tx) => {
      put(tx, 1, 'a')
      put(tx, 1, 'b')
      put(tx, 2, 'c')
    },
    (tx) => {
      tx.remove(items, { slot: 1, key: 'b' })
      return [names(tx, 1, 2), names(tx, 1, 1), names(tx, 3, 0)]
    },
    (tx) => {
      count(tx, 1)
      return names(tx, 1, 2)
    },
  )
  expect(replies.slice(1)).toEqual([
    [
      [
        ['a', true],
        ['b', false],
      ],
      undefined,
      [],
    ],
    [],
  ])
  expect(runs).toEqual([1, 1, 1])
})

test('a row that goes before it reaches SQL is gone, whether it was known to be new or not', async () => {
  const { replies } = await runAll(
    (tx) => put(tx, 1, 'old'),
    (tx) => count(tx, 1),
    (tx) => {
      put(tx, 1, 'new', true)
      put(tx, 1, 'unknown')
      // Its removal has to reach SQL.
      tx.remove(items, { slot: 1, key: 'old' })
    },
    (tx) => {
      for (const key of ['new', 'unknown']) tx.remove(items, { slot: 1, key })
    },
    (tx) => count(tx, 1),
    (tx) => put(tx, 1, 'new', true),
    (tx) => count(tx, 1),
    (tx) => tx.remove(items, { slot: 1, key: 'new' }),
    (tx) => count(tx, 1),
  )
  expect([1, 4, 6, 8].map((at) => replies[at])).toEqual([1, 0, 1, 0])
})
