/** The program of the lake's shards: documents with a payload, in a buffered and in an unbuffered table.
 *
 *  1. Every write has a stamp of its own, which is no part of the payload: whoever does not know what became of a write
 *     looks at the stamp.
 *  2. A `mark` changes the stamp alone, so that a row changes while its payload is in the lake. */
import type { Call, Program, Tx } from '../../core/shard/program.ts'
import { type Row, type Table, table } from '../../core/shard/table.ts'

/** A document; `body` is its payload, null with `size` above 0 when it is in the lake alone. */
export type DocRow = Row & { slot: number; id: string; body: string | null; size: number; stamp: number }

/** The collections. */
export const collections = ['docs', 'books'] as const
/** One of them. */
export type Collection = (typeof collections)[number]

function declare(name: Collection, more: Partial<Table<DocRow>>): Table<DocRow> {
  return table<DocRow>({
    name,
    collection: name,
    columns: { slot: 'integer', id: 'text', body: 'text?', size: 'integer', stamp: 'integer' },
    primaryKey: ['slot', 'id'],
    document: ({ id, size, stamp }) => ({ id, size, stamp }),
    documentId: ({ id }) => String(id),
    relation: {
      columns: [
        { name: 'body', type: 'string', value: ({ body }) => body },
        { name: 'size', type: 'long', required: true, value: ({ size }) => size },
        { name: 'stamp', type: 'long', required: true, value: ({ stamp }) => stamp },
      ],
      payload: {
        column: 'body',
        isCold: ({ body, size }) => body === null && size > 0,
        fromLake: ({ body }) => body as string | null,
      },
    },
    ...more,
  })
}

const tables = { docs: declare('docs', { withoutRowid: true, buffered: true }), books: declare('books', {}) }

/** Arguments of the calls. */
export interface DocArgs {
  readonly table: Collection
  readonly id: string
  readonly body?: string
  readonly stamp?: number
}

/** What `peek` tells. */
export interface Peeked {
  readonly stamp: number
  readonly cold: boolean
}

/** The name of the program. */
export const DOCS = 'docs'

const handlers: { [name: string]: (tx: Tx, slot: number, args: DocArgs) => unknown } = {
  put(tx, slot, { table, id, body = '', stamp = 0 }) {
    tx.put(tables[table], { slot, id, body, size: body.length, stamp })
    return true
  },
  mark(tx, slot, { table, id, stamp = 0 }) {
    const row = tx.find(tables[table], { slot, id })
    if (row !== undefined) tx.put(tables[table], { ...row, stamp })
    return row !== undefined
  },
  remove: (tx, slot, { table, id }) => tx.remove(tables[table], { slot, id }),
  clear(tx, slot, { table }) {
    tx.truncate(tables[table], { slot })
    return true
  },
  get(tx, slot, { table, id }) {
    const row = tx.find(tables[table], { slot, id })
    return row === undefined ? null : tx.whole(tables[table], row).body
  },
  peek(tx, slot, { table, id }): Peeked | null {
    const row = tx.find(tables[table], { slot, id })
    return row === undefined ? null : { stamp: row.stamp, cold: row.body === null && row.size > 0 }
  },
}

/** The program. */
export const docsProgram: Program = {
  name: DOCS,
  tables: [tables.docs, tables.books],
  writesSql: ({ name, args }) => name === 'clear' || (args as DocArgs).table === 'books',
  run: (tx: Tx, { name, slot, args }: Call) => handlers[name]?.(tx, slot, args as DocArgs),
}
