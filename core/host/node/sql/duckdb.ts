/** DuckDB, brought in when it is first needed and shut off from everything but the files it is handed. Node only.
 *
 *  1. SQL comes from outside. What it may name is checked before DuckDB sees it (ast.ts, allowed.ts); this is the
 *     second wall: no files but those of the given folders, no extensions, no network, and no setting can be changed.
 *  2. Errors come with their places, as JSON. */
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { Failure } from '../../../errors.ts'
import { SQL_SPILL_BYTES_MAX } from '../../../limits.ts'
import { quoteText } from './quote.ts'

/** The module. */
export type DuckDBApi = typeof import('@duckdb/node-api')

/** How an instance is opened. */
export interface DuckDBOptions {
  readonly memoryBytes: number
  readonly threads: number
  /** Folders whose files may be read. */
  readonly folders: readonly string[]
  /** Where it may write what does not fit in memory. */
  readonly temporaryFolder: string
}

let loading: Promise<DuckDBApi> | undefined

/** Load the module, once.
 *  @throws unsupported when it is not installed */
export function loadDuckDB(): Promise<DuckDBApi> {
  loading ??= importDuckDB(() => import('@duckdb/node-api')).catch((error) => {
    loading = undefined
    throw error
  })
  return loading
}

/** Import the module.
 *  @throws unsupported when there is none */
export async function importDuckDB(load: () => Promise<DuckDBApi>): Promise<DuckDBApi> {
  try {
    return await load()
  } catch (error) {
    const way = 'SQL needs DuckDB, which is an optional dependency: npm install @duckdb/node-api'
    throw new Failure('unsupported', way, undefined, error)
  }
}

/** Open an instance in memory. */
export async function openDuckDB(api: DuckDBApi, options: DuckDBOptions): Promise<DuckDBInstance> {
  const { memoryBytes, threads, folders, temporaryFolder } = options
  const instance = await api.DuckDBInstance.create(':memory:', {
    threads: String(threads),
    memory_limit: `${Math.floor(memoryBytes / 1024)}KiB`,
    temp_directory: temporaryFolder,
    max_temp_directory_size: `${Math.floor(SQL_SPILL_BYTES_MAX / 1024)}KiB`,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
    errors_as_json: 'true',
  }).catch((error) => {
    throw new Failure('invalid', `DuckDB refuses its options: ${error instanceof Error ? error.message : error}`)
  })
  const connection = await instance.connect()
  try {
    for (const setting of lockedSettings(folders)) await connection.run(setting)
  } finally {
    connection.closeSync()
  }
  return instance
}

function lockedSettings(folders: readonly string[]): string[] {
  const allowed = folders.map((folder) => quoteText(folder.endsWith('/') ? folder : `${folder}/`)).join(', ')
  return [
    "set global TimeZone = 'UTC'",
    // As in Postgres, and in Workers: integers divided are an integer.
    'set global integer_division = true',
    // Files of the cache grow where they have holes: blocks that were read before must not be kept.
    'set global enable_external_file_cache = false',
    `set global allowed_directories = [${allowed}]`,
    'set global enable_external_access = false',
    'set global lock_configuration = true',
  ]
}

/** Run a statement of ours whose result does not matter. */
export async function run(connection: DuckDBConnection, sql: string): Promise<void> {
  await connection.run(sql)
}

/** Run a statement of ours and read its rows, integers of 64 bits as bigints. */
export async function rowsOf(
  connection: DuckDBConnection,
  sql: string,
  values?: readonly string[],
): Promise<unknown[][]> {
  return (await connection.runAndReadAll(sql, values && [...values])).getRows()
}
