/** Bench `log-overhead`: what the change log costs, in CPU and on disk, against the same inserts without it.
 *
 *  Goals (issue 2): 1.4x of the CPU, 1.15x of the disk.
 *
 *  The floor is the same upsert of the same rows in the same order, straight through the Sql port: the same statement,
 *  the same commits, the same savepoint a call. So our side pays for the log, and also for what a call costs to queue,
 *  dispatch and answer. There is no shard without a log to compare with. A buffered table writes its rows to the redo
 *  first and to SQL when the shard is drained; both are counted, and its redo is dropped before the disk is measured.
 *  */
import { join } from 'node:path'
import { openSqlite } from '@dotdo/core/host/node'
import { type Call, type Program, type Row, type Table, type Tx, table } from '@dotdo/core/shard'
import { openTestShard, temporaryFolder } from '../core/host/node/testing.ts'
import { ChangeLog } from '../core/shard/log.ts'
import { createText } from '../core/shard/schema.ts'
import { Statements } from '../core/shard/statements.ts'
import { alternate, type Bench, type BenchContext, type BenchRow, exact } from './bench.ts'

const name = 'log-overhead'

type DocumentRow = { slot: number; id: string; kind: string; body: string; updated: number }

const declare = (buffered: boolean): Table<DocumentRow> =>
  table<DocumentRow>({
    name: 'documents',
    collection: 'documents',
    columns: { slot: 'integer', id: 'bin', kind: 'text', body: 'bin', updated: 'integer' },
    primaryKey: ['slot', 'id'],
    withoutRowid: true,
    buffered,
    document: ({ id, kind, body, updated }) => ({ id, kind, body, updated }),
    documentId: ({ id }) => id ?? '',
  })

const programOf = (documents: Table<DocumentRow>): Program => ({
  name: 'bench',
  tables: [documents],
  run(tx: Tx, { args }: Call) {
    tx.put(documents, args as DocumentRow)
    return null
  },
})

/** Rows of 355 bytes in random order of their slots, as the keys of many users come. */
function makeRows(count: number): DocumentRow[] {
  return Array.from({ length: count }, (_, i) => ({
    slot: Math.imul(i, 0x9e3779b1) >>> 18,
    id: `document:${String(i).padStart(12, '0')}`,
    kind: 'note',
    body: String.fromCharCode(97 + (i % 26)).repeat(320),
    updated: 1_700_000_000_000 + i,
  }))
}

/** What a run took. */
interface Cost {
  readonly cpuUs: number
  readonly diskBytes: number
}

/** CPU time of the process: what waiting for the disk takes is not in it. */
async function cpuOf(work: () => void | Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return user + system
}

function* groupsOf(rows: readonly DocumentRow[], size: number): Generator<DocumentRow[]> {
  for (let at = 0; at < rows.length; at += size) yield rows.slice(at, at + size)
}

async function withLog(rows: readonly DocumentRow[], group: number, buffered: boolean): Promise<Cost> {
  const test = await openTestShard([programOf(declare(buffered))])
  try {
    const cpuUs = await cpuOf(async () => {
      for (const part of groupsOf(rows, group)) {
        const calls = part.map((args): Call => ({ program: 'bench', name: 'put', slot: args.slot, epoch: 1, args }))
        await test.shard.submit(calls)
      }
      test.shard.close()
    })
    return { cpuUs, diskBytes: test.sql.sizeBytes() }
  } finally {
    test.close()
  }
}

async function withoutLog(rows: readonly DocumentRow[], group: number): Promise<Cost> {
  const documents = declare(false)
  const folder = temporaryFolder()
  const sql = openSqlite(join(folder.path, 'floor.sqlite'), { durability: 'normal' })
  try {
    sql.raw(createText(documents))
    const statements = new Statements(documents)
    const put = (row: Row) => sql.transact(() => sql.raw(statements.upsert, ...statements.values(row)))
    const cpuUs = await cpuOf(() => {
      for (const part of groupsOf(rows, group)) sql.transact(() => part.forEach(put))
    })
    return { cpuUs, diskBytes: sql.sizeBytes() }
  } finally {
    sql.close()
    folder.remove()
  }
}

/** The same shard with a log that writes nothing, not even into memory. */
async function withMuteLog(rows: readonly DocumentRow[], group: number): Promise<Cost> {
  const { append, write } = ChangeLog.prototype
  ChangeLog.prototype.append = function count(this: ChangeLog) {
    this.seq++
    return 0
  }
  ChangeLog.prototype.write = () => {}
  try {
    return await withLog(rows, group, false)
  } finally {
    Object.assign(ChangeLog.prototype, { append, write })
  }
}

interface Case {
  readonly label: string
  readonly rows: readonly DocumentRow[]
  readonly group: number
  readonly buffered: boolean
}

interface Floor {
  readonly name: string
  run(rows: readonly DocumentRow[], group: number): Promise<Cost>
}

const plainUpserts: Floor = { name: 'plain upserts', run: withoutLog }
const muteLog: Floor = { name: 'the same shard without a log', run: withMuteLog }

async function measure({ label, rows, group, buffered }: Case, floor: Floor, context: BenchContext) {
  const disk = { ours: 0, peer: 0 }
  const sample = (side: 'ours' | 'peer', run: () => Promise<Cost>) => async () => {
    const { cpuUs, diskBytes } = await run()
    disk[side] = diskBytes
    return cpuUs / rows.length
  }
  const cpu = await alternate({
    ours: sample('ours', () => withLog(rows, group, buffered)),
    peer: sample('peer', () => floor.run(rows, group)),
    pairs: context.quick ? 1 : 11,
    progress: (text) => context.progress(`${label}: ${text}`),
  })
  const results: BenchRow[] = [
    { name, case: `${label}, CPU a row, against ${floor.name}`, unit: 'us', ...cpu },
    { name, case: `${label}, disk, against ${floor.name}`, unit: 'bytes', ...exact(disk.ours, disk.peer) },
  ]
  return results
}

/** The price of the change log. */
export const logOverhead: Bench = {
  name,
  about: 'CPU and disk of inserts with the change log against plain upserts through the Sql port',
  async run(context) {
    const rows: BenchRow[] = []
    for (const buffered of [false, true]) {
      for (const group of [1, 100]) {
        const label = `${buffered ? 'buffered' : 'unbuffered'}, groups of ${group}`
        const count = context.quick ? 300 : group === 1 ? 10_000 : 50_000
        for (const floor of buffered ? [plainUpserts] : [plainUpserts, muteLog]) {
          rows.push(...(await measure({ label, rows: makeRows(count), group, buffered }, floor, context)))
        }
      }
    }
    return rows
  },
}
