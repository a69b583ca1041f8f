/** For tests: a program with one table that SQL sees, and the calls to fill it. */
import type { Call, Program, Tx } from '../../../shard/program.ts'
import { table } from '../../../shard/table.ts'

/** A row of the table. */
export type ItemRow = { slot: number; id: number; name: string | null; price: number | null; at: number }

/** Things with a price; SQL calls them `items`. */
export const items = table<ItemRow>({
  name: 'test_items',
  collection: 'items',
  columns: { slot: 'integer', id: 'integer', name: 'text?', price: 'real?', at: 'integer' },
  primaryKey: ['slot', 'id'],
  document: ({ id, name, price }) => ({ id, name, price }),
  documentId: ({ id }) => String(id),
  relation: {
    columns: [
      { name: 'id', type: 'long', required: true, value: ({ id }) => id },
      { name: 'name', type: 'string', value: ({ name }) => name },
      { name: 'price', type: 'double', value: ({ price }) => price },
      { name: 'at', type: 'timestamptz', required: true, value: ({ at }) => at * 1000 },
    ],
  },
})

/** The program: `put` with rows, `remove` with a slot and ids. */
export const itemsProgram: Program = {
  name: 'items',
  tables: [items],
  run(tx: Tx, { name, args }: Call) {
    if (name === 'put') for (const row of args as ItemRow[]) tx.put(items, row)
    else for (const row of args as { slot: number; id: number }[]) tx.remove(items, row)
    return null
  },
}
