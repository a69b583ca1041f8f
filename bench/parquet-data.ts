/** The rows of the Parquet bench: changes as facts/lake.md has them, the same ones in every run. */
import type { Sql } from '@dotdo/core/shard'
import type { StructType } from '../core/tiering/parquet/index.ts'

const field = (id: number, name: string, type: string, required = true) => ({ id, name, required, type })

/** The Iceberg schema of the rows. */
export const eventsSchema: StructType = {
  type: 'struct',
  fields: [
    field(1, 'seq', 'long'),
    field(2, 'ts', 'timestamptz'),
    field(3, 'ns', 'string'),
    field(4, 'type', 'string'),
    field(5, 'op', 'string'),
    field(6, 'id', 'string'),
    field(7, 'data', 'string', false),
    field(8, 'amount', 'double', false),
  ],
}

/** Make a generator of integers below 2^32 (xorshift). */
function makeRandom(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

const words = (text: string) => text.split(' ')
const types = words('user order invoice product cart session payment refund message file event audit')
const operations = words('insert update delete')
const status = words('active pending suspended archived deleted unknown')
const vocabulary = words(
  'alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi',
)

/** Fill a table `events`: 24 namespaces, 12 types, 3 operations, random ids of 36 characters, documents of 144 bytes
 *  on average (2 % null), amounts with cents (3 % null). */
export function fillEvents(sql: Sql, rows: number): void {
  sql.all(`create table events (seq integer primary key, ts integer not null, ns text not null, type text not null,
    op text not null, id text not null, data text, amount real) strict`)
  const random = makeRandom(20_251_121)
  const below = (count: number) => random() % count
  const pick = (from: readonly string[]) => from[below(from.length)] as string
  const hex = (digits: number) => random().toString(16).padStart(8, '0').slice(-digits)
  let ts = 1_760_000_000_000_000
  const insert = (seq: number) => {
    ts += below(100_000)
    const note = Array.from({ length: 4 }, () => pick(vocabulary)).join(' ')
    const document = {
      user: `user-${below(100_000)}`,
      status: pick(status),
      score: below(10_000) / 100,
      tags: [pick(vocabulary), pick(vocabulary)],
      note: `${note} ${below(1_000_000)}`,
      ref: hex(8),
      version: below(100),
    }
    const data = below(50) === 0 ? null : JSON.stringify(document)
    const amount = below(33) === 0 ? null : below(100_000) / 100
    const id = `${hex(8)}-${hex(4)}-${hex(4)}-${hex(4)}-${hex(8)}${hex(4)}`
    const values = [seq, ts, `namespace-${below(24)}`, pick(types), pick(operations), id, data, amount] as const
    sql.raw('insert into events values (?, ?, ?, ?, ?, ?, ?, ?)', ...values)
  }
  for (let seq = 1; seq <= rows; ) {
    const end = Math.min(rows, seq + 9_999)
    sql.transact(() => {
      for (; seq <= end; seq++) insert(seq)
    })
  }
}
