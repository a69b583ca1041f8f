/** A small program for tests of rows that go cold: texts in a buffered and in an unbuffered table, and a lake that is
 *  an internal table. */
import { Failure } from '../errors.ts'
import type { ColdRow } from './cold.ts'
import type { Call, Program, Tx } from './program.ts'
import type { Shard } from './shard.ts'
import type { Table } from './table.ts'
import { internalTable, table } from './table.ts'

/** A row of either text table. */
export type TextRow = { slot: number; name: string; kind: string; body: string | null; touched: number }

const declare = (name: string, buffered: boolean): Table<TextRow> =>
  table<TextRow>({
    name: `test_${name}`,
    collection: name,
    columns: { slot: 'integer', name: 'text', kind: 'text', body: 'bin?', touched: 'integer' },
    primaryKey: ['slot', 'name'],
    withoutRowid: true,
    buffered,
    document: ({ name, body, touched }) => ({ name, body, touched }),
    documentId: ({ name }) => name ?? '',
    relation: {
      columns: [
        { name: 'name', type: 'string', required: true, value: ({ name }) => name },
        { name: 'body', type: 'string', value: ({ body }) => body },
      ],
      payload: {
        column: 'body',
        isCold: ({ kind, body }) => kind === 'text' && body === null,
        fromLake: ({ body }) => body as string,
      },
    },
  })

/** The text tables, by name. */
export const textTables = { scrolls: declare('scrolls', true), stones: declare('stones', false) }
const { scrolls, stones } = textTables

type LakeRow = { slot: number; place: string; body: string }

/** Where payloads go. */
export const lakeTable = internalTable<LakeRow>({
  name: 'test_lake',
  columns: { slot: 'integer', place: 'text', body: 'bin' },
  primaryKey: ['slot', 'place'],
})

/** Arguments of the program's calls. */
export interface TextArgs {
  readonly table: keyof typeof textTables
  readonly slot: number
  readonly name: string
  readonly names?: readonly string[]
  readonly body?: string | null
  readonly kind?: string
  /** Fail after having run. */
  readonly fail?: boolean
}

const placeOf = ({ table, name }: Pick<TextArgs, 'table' | 'name'>) => `${table}/${name}`

const handlers: { [name: string]: (tx: Tx, args: TextArgs) => unknown } = {
  write(tx, { table, slot, name, body = 'text', kind = 'text' }) {
    tx.put(textTables[table], { slot, name, kind, body, touched: 0 })
    return null
  },
  /** Write a row without having read its payload. */
  touch(tx, { table, slot, name }) {
    const row = tx.find(textTables[table], { slot, name })
    if (row !== undefined) tx.put(textTables[table], { ...row, touched: row.touched + 1 })
    return row === undefined ? null : row.touched + 1
  },
  remove: (tx, { table, slot, name }) => tx.remove(textTables[table], { slot, name }),
  read(tx, { table, slot, name }) {
    const row = tx.find(textTables[table], { slot, name })
    return row === undefined ? null : tx.whole(textTables[table], row).body
  },
  /** Read rows that chance chooses, all at once. */
  readRandom(tx, { table, slot, names = [] }) {
    const chosen = [0, 0].map(() => names[tx.random() % names.length] as string)
    const rows = chosen.map((name) => tx.find(textTables[table], { slot, name }) as TextRow)
    return tx.wholeAll(textTables[table], rows).map(({ body }) => body)
  },
  peek: (tx, { table, slot, name }) => tx.find(textTables[table], { slot, name }) ?? null,
  evict(tx, { table, slot, name }) {
    const body = tx.find(textTables[table], { slot, name })?.body
    const freed = tx.evict(textTables[table], { slot, name })
    if (freed > 0) tx.put(lakeTable, { slot, place: placeOf({ table, name }), body: body as string })
    return freed
  },
  /** As `evict`, without a look at the row before. */
  evictUnseen: (tx, { table, slot, name }) => tx.evict(textTables[table], { slot, name }),
  restore(tx, { table, slot, name, body }) {
    const kept = body ?? tx.find(lakeTable, { slot, place: placeOf({ table, name }) })?.body
    return kept !== undefined && tx.restore(textTables[table], { slot, name }, kept)
  },
  forget: (tx, { table, slot, name }) => tx.remove(lakeTable, { slot, place: placeOf({ table, name }) }),
  clearLake(tx) {
    tx.truncate(lakeTable)
    return null
  },
  lake: (tx, { slot }) => tx.raw('select place from test_lake where slot = ? order by place', slot).flat(),
  tables: (tx) => tx.tables().map(({ name }) => name),
}

/** The program. */
export const coldProgram: Program = {
  name: 'cold',
  tables: [scrolls, stones, lakeTable],
  // Mostly wrong, so that shards have to find out by themselves.
  writesSql: ({ name }) => name === 'clearLake',
  run(tx: Tx, { name, args }: Call) {
    const reply = handlers[name]?.(tx, args as TextArgs)
    if ((args as TextArgs).fail) throw new Failure('invalid', 'asked to fail')
    return reply
  },
}

/** Make one call of the program. */
export function coldCall(name: string, args: Partial<TextArgs> = {}): Call {
  return { program: 'cold', name, slot: 1, epoch: 1, args: { table: 'scrolls', slot: 1, name: 'a', ...args } }
}

/** Fetch payloads from the lake table, as a host's `fetchCold` does from files. */
export async function fetchFromLake(shard: Pick<Shard, 'submit'>, cold: readonly ColdRow[]): Promise<void> {
  const calls = cold.map(({ table, key }) => {
    return coldCall('restore', { ...(key as { slot: number; name: string }), table: table.collection as 'scrolls' })
  })
  for (const reply of await shard.submit(calls)) if (reply instanceof Failure) throw reply
}
