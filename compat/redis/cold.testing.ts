/** Redis over a lake that is a map: every value leaves after every command, and comes back when it is asked for. */
import type { Bin } from '@dotdo/core/bytes'
import type { ColdRow, Program, Row, Shard, SqlRow, Table, Tx } from '@dotdo/core/shard'
import { idText } from './engine/stream-ids.ts'

const idOf = (table: Table, key: Row) => JSON.stringify([table.name, ...table.primaryKey.map((name) => key[name])])

/** Values that have left, and what was asked for again. */
export class Lake {
  readonly values = new Map<string, Bin>()
  /** Keys, fields of hashes, and ids of entries of each fetch. */
  readonly fetches: string[][] = []
  readonly program: Program = {
    name: 'lake',
    tables: [],
    writesSql: () => true,
    run: (tx: Tx, { name, args }) => (name === 'evict' ? this.evict(tx) : this.restore(tx, args as ColdRow[])),
  }

  private evict(tx: Tx): null {
    for (const table of tx.tables()) {
      const payload = table.relation?.payload?.column
      if (payload === undefined) continue
      tx.settle(table)
      const columns = Object.keys(table.columns).join(', ')
      for (const found of tx.all(`select ${columns} from ${table.name} where ${payload} is not null`)) {
        const row = tx.fromSql(table, found as SqlRow)
        this.values.set(idOf(table, row), row[payload] as Bin)
        tx.evict(table, row)
      }
    }
    return null
  }

  private restore(tx: Tx, cold: readonly ColdRow[]): null {
    for (const { table, key } of cold) tx.restore(table, key, this.values.get(idOf(table, key)) as Bin)
    return null
  }

  /** A shard's way to it. */
  readonly fetchCold = async (shard: Shard, cold: readonly ColdRow[]): Promise<void> => {
    const nameOf = ({ key }: ColdRow) => (key.id === undefined ? String(key.field ?? key.key) : idText(key.id as Bin))
    this.fetches.push(cold.map(nameOf))
    await shard.submit([{ program: 'lake', name: 'restore', slot: -1, epoch: 1, args: cold }])
  }
}
