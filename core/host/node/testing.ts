/** A shard, or a fabric, on a folder that goes away: for tests, benches and examples. Node only. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure } from '../../errors.ts'
import type { Clock } from '../../shard/clock.ts'
import type { ColdRow } from '../../shard/cold.ts'
import type { Call, Program } from '../../shard/program.ts'
import { Shard, type ShardLimits } from '../../shard/shard.ts'
import { SYSTEM, type SystemCalls } from '../../shard/system.ts'
import { nodeClock } from './clock.ts'
import { type NodeSql, openSqlite } from './sqlite.ts'
import type { Durability } from './store.ts'

/** Make an empty folder under the system's folder for temporary files.
 *  @returns its path, and a function that removes it */
export function temporaryFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'dotdo-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** A shard that owns every slot, on a file of its own. */
export interface TestShard {
  readonly shard: Shard
  readonly sql: NodeSql
  /** Run one call. @throws Failure when that is the reply */
  call(program: string, name: string, args: unknown, slot?: number): Promise<unknown>
  /** Run one call to the shard as such. */
  system<Name extends keyof SystemCalls>(name: Name, args: SystemCalls[Name]): Promise<unknown>
  /** Close the file and open it again. @param crash without closing the shard first, as a kill would */
  reopen(options?: { crash?: boolean; programs?: readonly Program[]; share?: number }): Promise<TestShard>
  /** Close it and remove its folder. */
  close(): void
}

/** How a test's shard differs from the default. */
export interface TestShardOptions {
  clock?: Clock
  limits?: Partial<ShardLimits>
  /** The part of the limits on memory that it may use. Default 1. */
  share?: number
  durability?: Durability
  onBug?(error: unknown): void
  /** Brings payloads back to the shard. */
  fetchCold?(shard: Shard, cold: readonly ColdRow[]): Promise<void>
}

/** Open a shard that owns every slot. */
export async function openTestShard(programs: readonly Program[], options: TestShardOptions = {}): Promise<TestShard> {
  return open(temporaryFolder(), programs, options)
}

async function open(
  folder: ReturnType<typeof temporaryFolder>,
  programs: readonly Program[],
  options: TestShardOptions,
): Promise<TestShard> {
  const { clock = nodeClock, limits, share, durability = 'normal', onBug = rethrow, fetchCold } = options
  const sql = openSqlite(join(folder.path, 'shard.sqlite'), { durability })
  const shard: Shard = new Shard({
    sql,
    clock,
    programs,
    onBug,
    ...(limits && { limits }),
    ...(share !== undefined && { share: () => share }),
    ...(fetchCold && { fetchCold: (cold: readonly ColdRow[]) => fetchCold(shard, cold) }),
  })
  const submit = async (call: Call) => {
    const [reply] = await shard.submit([call])
    if (reply instanceof Failure) throw reply
    return reply
  }
  const system: TestShard['system'] = (name, args) => submit({ program: SYSTEM, name, slot: -1, epoch: 1, args })
  await system('assign', { epoch: 1, slots: [[0, 16_383]] })
  return {
    shard,
    sql,
    call: (program, name, args, slot = 0) => submit({ program, name, slot, epoch: 1, args }),
    system,
    reopen({ crash = false, programs: next = programs, ...changed } = {}) {
      if (!crash) shard.close()
      sql.close()
      return open(folder, next, { ...options, ...changed })
    },
    close() {
      shard.close()
      sql.close()
      folder.remove()
    },
  }
}

/** In a test, a bug of ours must not hide behind `internal`. */
function rethrow(error: unknown): void {
  setImmediate(() => {
    throw error
  })
}
