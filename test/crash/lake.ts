/** Rounds of load on a tiered server and kill -9, while it flushes, commits, evicts, brings payloads back, compacts and
 *  cleans: after each, hot and cold together must be what was written.
 *
 *  1. Redis and SQL see every acknowledged write; the table `changes` has each exactly once, without holes in seq.
 *  2. Every table of the lake is right by the strict checker, whenever the server has ended, and nothing that it names
 *     is removed, however much time passes.
 *  3. When all is written and time has passed, what no table names is gone. */
import { readdirSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openLakeStores } from '../../core/host/node/lake-stores.ts'
import { openZstd } from '../../core/host/node/zstd.ts'
import type { Catalog } from '../../core/tiering/iceberg/catalog.ts'
import { checkTable } from '../../core/tiering/iceberg/check.ts'
import type { LakeFiles } from '../../core/tiering/iceberg/files.ts'
import { referencedFiles } from '../../core/tiering/iceberg/maintain.ts'
import { readRows } from '../../core/tiering/parquet/testing.ts'
import type { Interference, TestS3 } from '../s3/server.ts'
import { Random } from '../sim/random.ts'
import { type ChangeRow, LakeLoad } from './lake-load.ts'
import { type ServerProcess, startServer } from './server.ts'

/** How the server is run. */
export interface LakeSetup {
  readonly shards: number
  readonly threads: number
  /** Where the lake is; the data folder when left out. */
  readonly s3?: TestS3
  /** Batches after which the server is killed at the latest; 150 when left out. */
  readonly batches?: number
}

/** What the rounds did. */
export interface LakeOutcome {
  /** What was wrong; empty when nothing was. */
  readonly problems: string[]
  /** Writes that are there. */
  writes: number
  /** Things asked of the lake that were done, by what they are. */
  readonly done: Map<string, number>
}

const policy = { hotFor: '300ms', flushEvery: '1s', flushBytes: '64kb' }
const tables = ['keys', 'changes'] as const
const textColumns = /^(key|type|value|_id|namespace|op|id|data|incarnation|reason|file_path)$/

/** One data folder, killed over and over. */
class Rounds {
  readonly outcome: LakeOutcome = { problems: [], writes: 0, done: new Map() }
  private readonly data: string
  private readonly setup: LakeSetup
  private readonly random: Random
  private readonly load: LakeLoad
  private server: ServerProcess | undefined

  constructor(data: string, setup: LakeSetup, seed: number) {
    this.data = data
    this.setup = setup
    this.random = new Random(seed)
    this.load = new LakeLoad(this.random, { writers: 3 })
  }

  /** Start the server on what is there. */
  async start(): Promise<ServerProcess> {
    const { s3, batches: _, ...setup } = this.setup
    this.server = await startServer({ data: this.data, durability: 'normal', ...setup, args: s3 ? flagsOf(s3) : [] })
    return this.server
  }

  /** Have the keys tiered, before the first of them is written. */
  async begin(): Promise<void> {
    const server = await this.start()
    await this.ask('PUT', '/databases/default')
    await this.ask('PUT', '/databases/default/tier/keys', policy)
    await this.ask('POST', '/databases/default/tier/flush')
    await this.end(server, 'kill')
  }

  /** End the server and look at what it left in the lake. */
  async end(server: ServerProcess, how: 'stop' | 'kill'): Promise<void> {
    await server[how]()
    // A store that fails now and then is told of, as it should be.
    if (server.logged() !== '' && !this.setup.s3) this.problem(`the server logged ${server.logged()}`)
    await this.withLake(async (files, catalog) => {
      const isMade = (await catalog.listNamespaces()).length > 0
      for (const table of isMade ? await catalog.listTables(['default']) : []) {
        const wrong = await checkTable(files, await catalog.loadTable(table), { readRows: readStored })
        for (const problem of wrong) this.problem(`${table.name}: ${problem}`)
      }
    })
  }

  /** @returns everything that is wrong by now */
  found(): string[] {
    return [...this.outcome.problems, ...this.load.problems]
  }

  private problem(text: string): void {
    this.outcome.problems.push(text)
  }

  /** Send a request; a server that was killed meanwhile does not answer.
   *  @returns the answer; undefined when there was none, or it was a failure, which is a problem unless the store is to
   *  blame */
  private async ask(method: string, path: string, body: object = {}): Promise<unknown> {
    const url = `http://127.0.0.1:${(this.server as ServerProcess).httpPort}${path}`
    const headers = { 'Content-Type': 'application/json' }
    let response: Response
    let text: string
    try {
      response = await fetch(url, { method, headers, body: JSON.stringify(body) })
      text = await response.text()
    } catch {
      return undefined
    }
    const answer = JSON.parse(text) as { error?: unknown }
    if (response.ok && answer.error === undefined) {
      const what = path.split('/').at(-1) as string
      this.outcome.done.set(what, (this.outcome.done.get(what) ?? 0) + 1)
      return answer
    }
    // Before its first commit there is no table to compact.
    if (response.status === 404 && /compact|maintain/.test(path)) return undefined
    if (!this.setup.s3) this.problem(`${method} ${path} ${JSON.stringify(body)}: ${response.status} ${text}`)
    return undefined
  }

  private async sql<Row>(sql: string): Promise<readonly Row[] | undefined> {
    return ((await this.ask('POST', '/sql', { sql })) as { rows: Row[] } | undefined)?.rows
  }

  /** Ask for what tiering does by itself, only much more often, until the server is gone. */
  private async tier(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const table = this.random.pick(tables)
      const dice = this.random.unit()
      if (dice < 0.6) await this.ask('POST', '/databases/default/tier/flush')
      else if (dice < 0.85) await this.ask('POST', '/databases/default/tier/compact', { table })
      else await this.ask('POST', '/databases/default/tier/maintain', { table })
      await delay(this.random.below(100))
    }
  }

  /** Read with SQL while all else goes on. */
  private async read(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const since = this.load.mark()
      const rows = await this.sql<readonly [string, string]>('select key, value from keys')
      if (rows !== undefined) this.load.checkRows(rows, since, 'SQL under load')
      await delay(this.random.below(300))
    }
  }

  /** Load the server and kill it in the middle. */
  async loadAndKill(): Promise<void> {
    const server = await this.start()
    const target = this.random.between(20, this.setup.batches ?? 150)
    let batches = 0
    let isOver = false
    let reached = () => {}
    const enough = new Promise<void>((resolve) => (reached = resolve))
    const lanes = [
      this.load.run(server.redisPort, () => {
        if (++batches === target) reached()
      }),
      this.tier(() => isOver),
      this.read(() => isOver),
    ]
    await Promise.race([enough, server.ended])
    // At the moment of an answer a server is always at the same point; some time later it is anywhere.
    await delay(this.random.unit() * 1_000)
    isOver = true
    await this.end(server, 'kill')
    await Promise.all(lanes)
  }

  /** Hold everything against the model. */
  private async check(server: ServerProcess): Promise<void> {
    const { load } = this
    const changes = await this.sql<readonly [number, number, string, string, string | null]>(
      'select shard, seq, op, id, data from changes order by shard, seq',
    )
    if (changes === undefined) return this.problem('the changes could not be read')
    load.settle(changes.map(changeOf))
    const rows = await this.sql<readonly [string, string]>('select key, value from keys')
    if (rows === undefined) return this.problem('the keys could not be read')
    load.checkRows(rows, load.mark(), 'SQL')
    await load.checkKeys(server.redisPort)
    this.outcome.writes = load.writes
  }

  /** Start on what the kill left, perhaps much later, and look at it. */
  async startAndCheck(): Promise<void> {
    // The store's failures are for the load: what is checked has to be read.
    const calm = quiet(this.setup.s3)
    const isLater = this.random.chance(0.3)
    if (isLater) this.age()
    const server = await this.start()
    if (isLater) for (const table of tables) await this.ask('POST', '/databases/default/tier/maintain', { table })
    if (this.random.chance(0.3)) await this.ask('POST', '/databases/default/tier/flush')
    await this.check(server)
    await this.end(server, this.random.chance(0.5) ? 'kill' : 'stop')
    calm()
  }

  /** Make every file of the lake as old as orphans are. */
  private age(): void {
    const at = Date.now() / 1000 - 10 * 86_400
    const { s3 } = this.setup
    for (const [key, object] of s3?.bucket.objects ?? [])
      s3?.bucket.objects.set(key, { ...object, modifiedMs: at * 1000 })
    if (s3 === undefined) for (const path of filesOf(join(this.data, 'lake'))) utimesSync(path, at, at)
  }

  /** Have all written and cleaned, and see that nothing else is left. */
  async finish(): Promise<void> {
    const calm = quiet(this.setup.s3)
    let server = await this.start()
    await this.ask('POST', '/databases/default/tier/flush')
    await this.end(server, 'stop')
    this.age()
    server = await this.start()
    for (const table of tables) await this.ask('POST', '/databases/default/tier/maintain', { table })
    await this.check(server)
    await this.end(server, 'stop')
    await this.withLake(async (files, catalog) => {
      for (const name of tables) {
        const loaded = await catalog.loadTable({ namespace: ['default'], name })
        const used = new Set([...(await referencedFiles(files, loaded))].map((location) => files.keyOf(location)))
        const folder = `${files.keyOf(loaded.metadata.location)}/`
        for (const { key } of (await files.store.list({ prefix: folder })).objects) {
          if (!used.has(key) && !key.endsWith('/version-hint.text')) this.problem(`${key} is left`)
        }
      }
    })
    calm()
  }

  private async withLake(work: (files: LakeFiles, catalog: Catalog) => Promise<void>): Promise<void> {
    const { s3 } = this.setup
    const calm = quiet(s3)
    const place = s3 ? { location: locationOf(s3), s3: accessOf(s3) } : { location: join(this.data, 'lake') }
    const lake = await openLakeStores(place)
    await work(lake.files, lake.catalog).finally(() => lake.close())
    calm()
  }

  /** Kill what is left of a round that failed. */
  async close(): Promise<void> {
    await this.server?.kill()
  }
}

const locationOf = (s3: TestS3) => `s3://${s3.bucketName}/lake`
const accessOf = ({ url, credentials }: TestS3) => ({ endpoint: url, ...credentials })

function flagsOf(s3: TestS3): string[] {
  const { accessKeyId, secretAccessKey, region } = s3.credentials
  const keys = ['--lake-access-key-id', accessKeyId, '--lake-secret-access-key', secretAccessKey]
  return ['--lake', locationOf(s3), '--lake-endpoint', s3.url, '--lake-region', region, ...keys]
}

/** Have the store fail no requests for a while. @returns what has it go on as before */
function quiet(s3: TestS3 | undefined): () => void {
  if (s3 === undefined) return () => {}
  const before = s3.interfere
  s3.interfere = () => undefined
  return () => {
    s3.interfere = before
  }
}

function changeOf(row: readonly [number, number, string, string, string | null]): ChangeRow {
  const [shard, seq, op, id, data] = row
  const value = data === null ? null : (JSON.parse(data) as { value: string }).value
  return { shard, seq, op, id, value }
}

function filesOf(folder: string): string[] {
  return (readdirSync(folder, { recursive: true }) as string[])
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
}

/** Read a Parquet file for the checker: text as such, all else as it is stored. */
async function readStored(bytes: Uint8Array): Promise<Record<string, unknown>[]> {
  const decoder = new TextDecoder()
  const isText = (name: string, value: unknown): value is Uint8Array =>
    textColumns.test(name) && value instanceof Uint8Array
  return (await readRows(bytes, await openZstd())).map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [name, isText(name, value) ? decoder.decode(value) : value]),
    ),
  )
}

/** Have a store fail some requests: refused, or cut before or after they were done. */
export function failNowAndThen(s3: TestS3, random: Random): void {
  const failures: readonly Interference[] = [{ status: 500 }, { status: 503 }, 'cut before', 'cut after']
  s3.interfere = () => (random.chance(0.04) ? random.pick(failures) : undefined)
}

/** Run rounds on one data folder.
 *  @param seed decides what is written and about when the server is killed; not what the two do at that moment */
export async function lakeRounds(data: string, setup: LakeSetup, { rounds, seed }: { rounds: number; seed: number }) {
  const run = new Rounds(data, setup, seed)
  const { outcome } = run
  try {
    await run.begin()
    for (let round = 1; round <= rounds && run.found().length === 0; round++) {
      await run.loadAndKill()
      await run.startAndCheck()
    }
    if (run.found().length === 0) await run.finish()
  } finally {
    await run.close()
  }
  return { ...outcome, problems: run.found().map((problem) => `seed ${seed}: ${problem}`) }
}
