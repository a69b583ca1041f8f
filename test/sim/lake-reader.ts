/** Reads the lake as queries do, straight from the store, and holds what it reads against the model. */
import { Failure } from '../../core/errors.ts'
import type { Database } from '../../core/shard/fabric.ts'
import type { Position } from '../../core/shard/program.ts'
import type { LoadedTable } from '../../core/tiering/iceberg/catalog.ts'
import { checkTable } from '../../core/tiering/iceberg/check.ts'
import { referencedFiles } from '../../core/tiering/iceberg/maintain.ts'
import { schemaOf } from '../../core/tiering/iceberg/metadata.ts'
import { readTable } from '../../core/tiering/iceberg/read.ts'
import type { ObjectStore } from '../../core/tiering/objects/port.ts'
import { fileIdOf } from '../../core/tiering/tier/plain.ts'
import { type SinceReply, TIER } from '../../core/tiering/tier/port.ts'
import { parsePositions, positionsProperty, readPositions } from '../../core/tiering/tier/positions.ts'
import type { Doc, LakeModel, Made } from './lake-model.ts'
import type { LakeTools } from './lake-process.ts'
import type { Collection } from './lake-program.ts'
import { check, type World } from './world.ts'

/** What a reader works with. */
export interface ReaderOptions {
  readonly world: World
  readonly tools: LakeTools
  /** The store itself, without faults. */
  readonly store: ObjectStore
  readonly database: string
}

type Rows = Map<string, Doc>

/** Why a snapshot and the shards do not fit now; read anew, they may. */
const stale = Symbol('stale')

/** One reader. */
export class LakeReader {
  private readonly options: ReaderOptions

  constructor(options: ReaderOptions) {
    this.options = options
  }

  private async load(table: string): Promise<LoadedTable | undefined> {
    const { tools, database } = this.options
    try {
      return await tools.catalog.loadTable({ namespace: [database], name: table })
    } catch (error) {
      if (error instanceof Failure && error.code === 'not_found') return undefined
      throw error
    }
  }

  /** Hold hot and cold together against the model, while nobody writes.
   *  @returns whether they could be read: shards may be down, or not know yet what is committed
   *  @throws Violation */
  async checkUnion(from: Database, table: Collection, model: LakeModel): Promise<boolean> {
    for (let tries = 0; tries < 8; tries++) {
      const rows = await this.union(from, table)
      if (rows === undefined) return false
      if (rows !== stale) {
        compare(rows, model.of(table), `hot and cold ${table}`)
        return true
      }
      await this.options.world.sleep(3)
    }
    return false
  }

  private async union(from: Database, table: Collection): Promise<Rows | typeof stale | undefined> {
    const { tools, world } = this.options
    const loaded = await this.load(table)
    const positions = loaded === undefined ? new Map() : await readPositions(tools.files, loaded.metadata)
    const rows: Rows = new Map()
    const gone = new Map<number, Set<number>>()
    for (let shard = 0; shard < from.map.count; shard++) {
      const hot: Rows = new Map()
      const limit = world.random.pick([1, 3, 50])
      try {
        const fits = await this.since(from, { table, shard, after: positions.get(shard), limit }, { hot, gone })
        if (!fits) return stale
      } catch (error) {
        if (error instanceof Failure && ['unavailable', 'storage', 'moved'].includes(error.code)) return undefined
        throw error
      }
      for (const [id, doc] of hot) add(rows, id, doc)
    }
    if (loaded !== undefined) await this.cold(loaded, { rows, gone })
    return rows
  }

  /** Ask a shard for everything that is newer than a snapshot. @returns false when it knows another one */
  private async since(
    from: Database,
    { table, shard, after, limit }: { table: Collection; shard: number; after: Position | undefined; limit: number },
    { hot, gone }: { hot: Rows; gone: Map<number, Set<number>> },
  ): Promise<boolean> {
    let cursor: unknown
    do {
      const args = { collection: table, after, columns: ['body', 'stamp'], cursor, limit }
      const piece = (await from.router.call({ program: TIER, name: 'since', args }, { shard })) as SinceReply
      if (piece.stale !== undefined) return false
      for (const id of piece.gone) hot.delete(id)
      for (const [at, id] of piece.ids.entries()) {
        check(piece.again || !hot.has(id), () => `shard ${shard} tells ${id} twice`)
        hot.set(id, { body: String(piece.columns[0]?.[at]), stamp: Number(piece.columns[1]?.[at]) })
      }
      for (const [file, positions] of piece.deletes) {
        const known = gone.get(file) ?? new Set()
        for (const position of positions) known.add(position)
        gone.set(file, known)
      }
      cursor = piece.cursor
    } while (cursor !== undefined)
    return true
  }

  private async cold(
    { metadata }: LoadedTable,
    { rows, gone }: { rows: Rows; gone: ReadonlyMap<number, Set<number>> },
  ): Promise<void> {
    const { files, codecs } = this.options.tools
    const exclude = ({ path }: { path: string }) => gone.get(fileIdOf(path) ?? -1)
    for await (const batch of readTable(files, metadata, { codecs, columns: ['_id', 'body', 'stamp'], exclude })) {
      for (let at = 0; at < batch.rows; at++) {
        const [id, body, stamp] = batch.columns.map((column) => column[at])
        add(rows, String(id), { body: String(body), stamp: Number(stamp) })
      }
    }
  }

  /** Hold the mirror alone against the model. */
  async checkMirror(table: Collection, model: LakeModel): Promise<void> {
    const loaded = await this.load(table)
    const rows: Rows = new Map()
    if (loaded !== undefined) await this.cold(loaded, { rows, gone: new Map() })
    compare(rows, model.of(table), `the mirror of ${table}`)
  }

  /** Hold the table of changes against what was done.
   *  @param all whether nothing may be missing at the end
   *  @param incarnations the history that each shard has now */
  async checkChanges(
    model: LakeModel,
    {
      collections,
      all,
      incarnations,
    }: {
      readonly collections: readonly Collection[]
      readonly all: boolean
      readonly incarnations: readonly string[]
    },
  ): Promise<void> {
    const loaded = await this.load('changes')
    const rows: (Made & { shard: number; incarnation: string; seq: number })[] = []
    const { files, codecs } = this.options.tools
    const columns = ['type', 'op', 'id', 'data', 'shard', 'incarnation', 'seq']
    for await (const batch of loaded === undefined ? [] : readTable(files, loaded.metadata, { codecs, columns })) {
      for (let at = 0; at < batch.rows; at++) {
        const [type, op, id, data, shard, incarnation, seq] = batch.columns.map((column) => column[at])
        const stamp = data == null ? undefined : (JSON.parse(String(data)) as { stamp: number }).stamp
        const made = {
          table: type as Collection,
          op: (op === 'insert' ? 'put' : op) as Made['op'],
          id: String(id),
          stamp,
        }
        rows.push({ ...made, shard: Number(shard), incarnation: String(incarnation), seq: Number(seq) })
      }
    }
    const places = new Set(rows.map(({ shard, incarnation, seq }) => `${shard} ${incarnation} ${seq}`))
    check(places.size === rows.length, () => `${rows.length} changes in the lake have ${places.size} places`)
    rows.sort((a, b) => a.seq - b.seq)
    for (const [shard, incarnation] of incarnations.entries()) {
      const own = rows.filter((row) => row.shard === shard)
      const told = own.map((row) => ({ ...row, isNewest: row.incarnation === incarnation }))
      model.checkChanges(shard, told, { collections, all })
    }
  }

  /** Check what a table says of itself: positions go forward, no receipt comes twice, no file is missing. */
  async checkTable(table: string, { strictly = false } = {}): Promise<LoadedTable | undefined> {
    const loaded = await this.load(table)
    if (loaded === undefined) return undefined
    const { tools } = this.options
    checkPositions(table, loaded)
    for (const location of await this.named(loaded)) {
      const isThere = (await tools.files.head(location)) !== undefined
      check(isThere, () => `${table} names ${location}, which is gone`)
    }
    if (!strictly) return loaded
    const wrong = await checkTable(tools.files, loaded)
    check(wrong.length === 0, () => `${table}: ${wrong.join('; ')}`)
    return loaded
  }

  /** List what a table's snapshots name. Not what they say they have removed: that goes with the snapshot before. */
  private async named({ metadata }: LoadedTable): Promise<Set<string>> {
    const { files } = this.options.tools
    const named = new Set<string>()
    for (const snapshot of metadata.snapshots) {
      named.add(snapshot['manifest-list'])
      for (const manifest of await files.manifestList(snapshot['manifest-list'])) {
        named.add(manifest.path)
        for (const { status, file } of await files.manifest(manifest, metadata)) {
          if (status !== 'deleted') named.add(file.path)
        }
      }
    }
    return named
  }

  /** Check that a table's folder has what the table names, and nothing else. */
  async checkFolder(table: string): Promise<void> {
    const loaded = await this.checkTable(table)
    if (loaded === undefined) return
    const { tools, store } = this.options
    const used = new Set(
      [...(await referencedFiles(tools.files, loaded))].map((location) => tools.files.keyOf(location)),
    )
    const folder = `${tools.files.keyOf(loaded.metadata.location)}/`
    const { objects } = await store.list({ prefix: folder, limit: 1000 })
    for (const { key } of objects) {
      const isKnown = used.has(key) || key.endsWith('/version-hint.text')
      check(isKnown, () => `${key} is left, and nothing names it (schema ${schemaOf(loaded.metadata)['schema-id']})`)
    }
  }
}

function add(rows: Rows, id: string, doc: Doc): void {
  check(!rows.has(id), () => `${id} comes twice: ${JSON.stringify([rows.get(id), doc])}`)
  rows.set(id, doc)
}

function compare(rows: Rows, wanted: ReadonlyMap<string, Doc>, what: string): void {
  const missing = [...wanted.keys()].filter((id) => !rows.has(id))
  check(missing.length === 0, () => `${what} lack ${missing.join()}`)
  for (const [id, { body, stamp }] of rows) {
    const known = wanted.get(id)
    check(known !== undefined, () => `${what} have ${id} (${stamp}), which was removed`)
    const isSame = known.body === body && known.stamp === stamp
    check(isSame, () => `${what}: ${id} is ${JSON.stringify([stamp, body])}, not ${JSON.stringify(known)}`)
  }
}

function checkPositions(table: string, { metadata }: LoadedTable): void {
  const seen = new Map<number, { incarnation: string; seq: number; receipt: string }>()
  const receipts = new Set<string>()
  const line = metadata.snapshots.toSorted((a, b) => a['sequence-number'] - b['sequence-number'])
  for (const { summary } of line) {
    const written = summary[positionsProperty]
    if (written === undefined) continue
    for (const [shard, now] of parsePositions(written)) {
      const before = seen.get(shard)
      if (before?.receipt === now.receipt) continue
      const name = `${shard} ${now.receipt}`
      check(!receipts.has(name), () => `${table}: the receipt ${now.receipt} of shard ${shard} is committed twice`)
      receipts.add(name)
      const isBack = before?.incarnation === now.incarnation && now.seq < before.seq
      check(!isBack, () => `${table}: shard ${shard} goes back from ${before?.seq} to ${now.seq}`)
      seen.set(shard, now)
    }
  }
}
