/** For tests: documents with a payload, shards on files with a lake in memory, and the union of hot and cold. */
import { join } from 'node:path'
import { Failure } from '../../errors.ts'
import { openLakeCodecs } from '../../host/node/lake-codecs.ts'
import { type NodeSql, openSqlite } from '../../host/node/sqlite.ts'
import { temporaryFolder } from '../../host/node/testing.ts'
import { catalogProgram } from '../../shard/catalog.ts'
import { type Database, Fabric } from '../../shard/fabric.ts'
import { murmur3Slot } from '../../shard/hash.ts'
import type { JobShard } from '../../shard/job.ts'
import type { Call, Program, Tx } from '../../shard/program.ts'
import type { ShardClient } from '../../shard/router.ts'
import { Shard, type ShardLimits } from '../../shard/shard.ts'
import { table } from '../../shard/table.ts'
import { fileCatalog } from '../iceberg/catalog-files.ts'
import { checkTable } from '../iceberg/check.ts'
import { LakeFiles } from '../iceberg/files.ts'
import { snapshotOfRef } from '../iceberg/history.ts'
import { readTable } from '../iceberg/read.ts'
import { testClock, testRoot } from '../iceberg/testing.ts'
import { memoryObjects } from '../objects/memory.ts'
import type { ObjectStore } from '../objects/port.ts'
import type { ParquetCodecs } from '../parquet/read-page.ts'
import { type Compressor, uncompressed } from '../zstd.ts'
import { type TierJobs, tierJobs } from './jobs.ts'
import { tableName } from './payloads.ts'
import { fileIdOf } from './plain.ts'
import { type SinceReply, type SinceRequest, TIER } from './port.ts'
import { readPositions } from './positions.ts'
import { tierProgram } from './program.ts'
import { TierShards } from './shards.ts'

/** A document; `body` is its payload, null with `size` above 0 when it is in the lake alone. */
export type DocRow = { slot: number; id: string; title: string; body: string | null; size: number; rank: number }

/** Documents by id. */
export const docs = table<DocRow>({
  name: 'test_docs',
  collection: 'docs',
  columns: { slot: 'integer', id: 'text', title: 'text', body: 'text?', size: 'integer', rank: 'integer' },
  primaryKey: ['slot', 'id'],
  withoutRowid: true,
  buffered: true,
  document: ({ id, title, body, rank }) => ({ id, title, body, rank }),
  documentId: ({ id }) => String(id),
  relation: {
    columns: [
      { name: 'id', type: 'string', required: true, value: ({ id }) => id },
      { name: 'title', type: 'string', value: ({ title }) => title },
      { name: 'body', type: 'string', value: ({ body }) => body },
      // Below 0 it is something that no file takes.
      { name: 'rank', type: 'long', required: true, value: ({ rank }) => (rank < 0 ? Number.NaN : rank) },
    ],
    payload: {
      column: 'body',
      isCold: ({ body, size }) => body === null && size > 0,
      fromLake: ({ body }) => body as string | null,
    },
  },
})

/** A note; no payload, unbuffered. */
export type NoteRow = { slot: number; id: string; text: string }

/** Notes by id. */
export const noteDocs = table<NoteRow>({
  name: 'test_note_docs',
  collection: 'notes',
  columns: { slot: 'integer', id: 'text', text: 'text' },
  primaryKey: ['slot', 'id'],
  document: ({ id, text }) => ({ id, text }),
  documentId: ({ id }) => String(id),
  relation: { columns: [{ name: 'text', type: 'string', value: ({ text }) => text }] },
})

/** Arguments of the documents' calls. */
export interface DocArgs {
  readonly id?: string
  readonly title?: string
  readonly body?: string | null
  readonly rank?: number
}

const handlers: { [name: string]: (tx: Tx, slot: number, args: DocArgs) => unknown } = {
  put(tx, slot, { id = '', title = id, body = null, rank = 0 }) {
    tx.put(docs, { slot, id, title, body, size: body?.length ?? 0, rank })
    return null
  },
  get(tx, slot, { id = '' }) {
    const row = tx.find(docs, { slot, id })
    return row === undefined ? null : tx.whole(docs, row).body
  },
  isCold(tx, slot, { id = '' }) {
    const row = tx.find(docs, { slot, id })
    return row !== undefined && row.body === null && row.size > 0
  },
  rank(tx, slot, { id = '', rank = 0 }) {
    const row = tx.find(docs, { slot, id })
    if (row !== undefined) tx.put(docs, { ...row, rank })
    return row !== undefined
  },
  remove: (tx, slot, { id = '' }) => tx.remove(docs, { slot, id }),
  clear(tx) {
    tx.truncate(docs)
    return null
  },
  note(tx, slot, { id = '', title = '' }) {
    tx.put(noteDocs, { slot, id, text: title })
    return null
  },
}

/** The documents' program. */
export const docsProgram: Program = {
  name: 'docs',
  tables: [docs, noteDocs],
  writesSql: ({ name }) => name === 'note' || name === 'clear',
  run: (tx: Tx, { name, slot, args }: Call) => handlers[name]?.(tx, slot, args as DocArgs),
}

/** What a rig is made of. */
export interface RigOptions {
  readonly shards?: number
  readonly store?: ObjectStore
  readonly seed?: number
  readonly limits?: Partial<ShardLimits>
  readonly programs?: readonly Program[]
  /** Of new files; none when left out. */
  readonly compressor?: Compressor
  /** Mount a second store, at this root. */
  readonly archiveRoot?: string
}

interface OpenShard {
  readonly shard: Shard
  readonly sql: NodeSql
}

/** A fabric whose shards can be killed, and a lake in memory. */
export class Rig {
  readonly clock: ReturnType<typeof testClock>
  readonly store: ObjectStore
  readonly files: LakeFiles
  readonly catalog: ReturnType<typeof fileCatalog>
  readonly codecs: ParquetCodecs
  readonly jobs: TierJobs
  fabric: Fabric
  readonly compressor: Compressor
  /** Asked before each request to a shard of a database: whether it is lost before it is run, or its answer after. */
  breaks: () => 'before' | 'after' | undefined = () => undefined
  private options: RigOptions
  private readonly folder = temporaryFolder()
  private readonly open = new Map<string, OpenShard>()

  static async open(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(options, (await openLakeCodecs()).parquet)
    await rig.fabric.create('shop', { count: options.shards ?? 1, partitioner: 'murmur3', keys: 'raw' })
    return rig
  }

  private constructor(options: RigOptions, codecs: ParquetCodecs) {
    this.options = options
    this.codecs = codecs
    this.compressor = options.compressor ?? uncompressed
    const clock = testClock(options.seed ?? 1)
    this.clock = Object.assign(clock, {
      // Waiting takes parts of milliseconds; shards want whole ones.
      nowMs: () => Math.floor(clock.nowMsIs++),
      defer: (work: () => void) => void setImmediate(work),
    })
    this.store = options.store ?? memoryObjects(this.clock)
    const { archiveRoot } = options
    const mounts = archiveRoot === undefined ? [] : [{ root: archiveRoot, store: memoryObjects(this.clock) }]
    this.files = new LakeFiles({ store: this.store, root: testRoot, chance: this.clock, mounts })
    this.catalog = fileCatalog({ files: this.files, clock: this.clock })
    this.jobs = tierJobs({ ...this.tools, rowGroupRows: 100 })
    this.fabric = this.openFabric()
  }

  /** What services are made of. */
  get tools() {
    const { catalog, files, clock, codecs, compressor } = this
    return { catalog, files, clock, codecs, compressor }
  }

  private openFabric(): Fabric {
    const client = (database: string, index: number) => this.client(database, index)
    return new Fabric({ placement: { client }, clock: this.clock, defaults: { partitioner: 'murmur3', keys: 'raw' } })
  }

  private client(database: string, index: number): ShardClient {
    const submit = (calls: readonly Call[]) => this.submit(database, index, calls)
    const jobShard: JobShard = { database, index, submit }
    return {
      submit,
      awaitChange: (afterSeq, waitMs) => this.shard(database, index).awaitChange(afterSeq, waitMs),
      job: async (name: string, args: unknown) => {
        const job = this.jobs.jobs.find((one) => one.name === name)
        if (job === undefined) throw new Failure('unsupported', `no job ${name}`)
        return structuredClone(await job.run(jobShard, structuredClone(args)))
      },
    } as ShardClient
  }

  private async submit(database: string, index: number, calls: readonly Call[]): Promise<unknown[]> {
    const broken = database === 'shop' ? this.breaks() : undefined
    const lost = () => new Failure('unavailable', 'the shard did not answer')
    if (broken === 'before') throw lost()
    const replies = await this.shard(database, index).submit(calls)
    if (broken === 'after') throw lost()
    return replies
  }

  /** The file of a shard. */
  path(database: string, index: number): string {
    return join(this.folder.path, `${database}-${index}.sqlite`)
  }

  private shard(database: string, index: number): Shard {
    const key = `${database} ${index}`
    const known = this.open.get(key)
    if (known !== undefined) return known.shard
    const sql = openSqlite(this.path(database, index), { durability: 'normal' })
    const programs = database.startsWith('dotdo.')
      ? [catalogProgram]
      : (this.options.programs ?? [docsProgram, tierProgram()])
    const jobShard: JobShard = { database, index, submit: (calls) => shard.submit(calls) }
    const shard: Shard = new Shard({
      sql,
      clock: this.clock,
      programs,
      fetchCold: (cold) => this.jobs.fetchCold(jobShard, cold),
      onBug: (error) => {
        setImmediate(() => {
          throw error
        })
      },
      ...(this.options.limits && { limits: this.options.limits }),
    })
    this.open.set(key, { shard, sql })
    return shard
  }

  /** Close every shard, as a kill would when `crash` is set; they are opened again when they are used. */
  restart({ crash = false, programs }: { crash?: boolean; programs?: readonly Program[] } = {}): void {
    if (programs !== undefined) this.options = { ...this.options, programs }
    for (const { shard, sql } of this.open.values()) {
      if (!crash) shard.close()
      sql.close()
    }
    this.open.clear()
    this.fabric = this.openFabric()
  }

  close(): void {
    this.restart()
    this.folder.remove()
  }

  database(): Promise<Database> {
    return this.fabric.database('shop')
  }

  async shards(): Promise<TierShards> {
    return new TierShards(await this.database())
  }

  /** Run a call of the documents' program. */
  async doc(name: string, args: DocArgs): Promise<unknown> {
    const { router } = await this.database()
    return router.call({ program: 'docs', name, args }, { slot: murmur3Slot(args.id ?? '') })
  }

  /** Put many documents. */
  async putAll(ids: readonly string[], args: (id: string) => DocArgs = (id) => ({ body: `body of ${id}` })) {
    const plan = (await this.database()).plan()
    const pending = ids.map((id) =>
      plan.one(murmur3Slot(id), { program: 'docs', name: 'put', args: { id, ...args(id) } }),
    )
    await plan.run()
    for (const { reply } of pending) if (reply instanceof Failure) throw reply
  }

  /** Read a table of the lake as it stands, or nothing when there is none. */
  async lakeRows(name: string): Promise<Record<string, unknown>[]> {
    const { metadata } = await this.catalog.loadTable(tableName('shop', name))
    const rows: Record<string, unknown>[] = []
    for await (const batch of readTable(this.files, metadata, { codecs: this.codecs })) {
      const names = metadata.schemas.find((one) => one['schema-id'] === metadata['current-schema-id'])?.fields ?? []
      for (let at = 0; at < batch.rows; at++) {
        rows.push(Object.fromEntries(names.map((field, index) => [field.name, batch.columns[index]?.[at]])))
      }
    }
    return rows
  }

  /** Check a table of the lake: metadata, manifests, files. */
  async check(name: string): Promise<string[]> {
    return checkTable(this.files, await this.catalog.loadTable(tableName('shop', name)))
  }

  /** Read a collection as queries do: the snapshot without what shards say is not so any more, and what they have.
   *  @returns titles and bodies by id; ids that come twice are told */
  async union(): Promise<{ rows: Map<string, unknown>; doubles: string[] }> {
    const loaded = await this.catalog.loadTable(tableName('shop', 'docs')).catch(() => undefined)
    const positions = loaded === undefined ? new Map() : await readPositions(this.files, loaded.metadata)
    const hot = new Map<string, unknown>()
    const gone = new Map<number, Set<number>>()
    const shards = await this.shards()
    for (let shard = 0; shard < shards.count; shard++) {
      const pieces = await this.since(shards, shard, positions.get(shard))
      for (const { columns, ids, gone: removed, deletes, again } of pieces) {
        for (const id of again ? [...removed] : []) hot.delete(id)
        for (const [at, id] of ids.entries()) hot.set(id, [columns[0]?.[at], columns[1]?.[at], columns[2]?.[at]])
        for (const [file, list] of deletes) {
          const known = gone.get(file) ?? new Set()
          for (const pos of list) known.add(pos)
          gone.set(file, known)
        }
      }
    }
    const rows = new Map(hot)
    const doubles: string[] = []
    if (loaded === undefined || snapshotOfRef(loaded.metadata) === undefined) return { rows, doubles }
    const exclude = ({ path }: { path: string }) => gone.get(fileIdOf(path) ?? -1)
    const options = { codecs: this.codecs, columns: ['_id', 'title', 'body', 'rank'], exclude }
    for await (const batch of readTable(this.files, loaded.metadata, options)) {
      for (let at = 0; at < batch.rows; at++) {
        const [id, ...values] = batch.columns.map((column) => column[at])
        if (rows.has(String(id))) doubles.push(String(id))
        rows.set(String(id), values)
      }
    }
    return { rows, doubles }
  }

  /** Ask a shard for everything that is newer than a snapshot. */
  async since(shards: TierShards, shard: number, after: SinceRequest['after'], limit = 50): Promise<SinceReply[]> {
    const pieces: SinceReply[] = []
    let cursor: unknown
    do {
      const columns = ['title', 'body', 'rank']
      const at = after && { incarnation: after.incarnation, epoch: after.epoch, seq: after.seq }
      const piece = await shards.ask<SinceReply>(shard, 'since', {
        collection: 'docs',
        after: at,
        columns,
        cursor,
        limit,
      })
      if (piece.stale !== undefined) throw new Error(`stale: ${JSON.stringify([after, piece.stale])}`)
      pieces.push(piece)
      cursor = piece.cursor
    } while (cursor !== undefined)
    return pieces
  }
}

/** The program's name, for calls of tests. */
export const tier = TIER
