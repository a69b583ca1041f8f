/** What SQL from outside may call and what it may not.
 *
 *  1. Functions in a from clause read files, settings and catalogs: only those named here, which make rows of their
 *     arguments, are let through.
 *  2. Of all others, those that see or change something but their arguments are refused. */
import { Failure } from '../../../errors.ts'
import type { FunctionRef, Survey } from './ast.ts'

const tableFunctions: ReadonlySet<string> = new Set([
  'generate_series',
  'generate_subscripts',
  'json_each',
  'json_tree',
  'range',
  'regexp_split_to_table',
  'repeat',
  'repeat_row',
  'unnest',
])

const refused: ReadonlySet<string> = new Set([
  'col_description',
  'current_connection_id',
  'current_query',
  'current_query_id',
  'current_setting',
  'current_transaction_id',
  'currval',
  'get_block_size',
  'getenv',
  'getvariable',
  'in_search_path',
  'json_execute_serialized_sql',
  'json_serialize_plan',
  'nextval',
  'obj_description',
  'parse_duckdb_log_message',
  'set_config',
  'shobj_description',
  'sleep_ms',
  'stats',
  'txid_current',
  'write_log',
])

/** Functions named for those of Postgres that read no catalog. */
const harmless: ReadonlySet<string> = new Set(['pg_size_pretty', 'pg_typeof'])

/** Check the functions that a statement calls.
 *  @throws unsupported for one that is refused */
export function checkFunctions(
  functions: Survey['functions'],
  fail: (failure: Failure, at: number | undefined) => Failure,
): void {
  for (const one of functions) {
    if (isAllowed(one)) continue
    const { name, isTable, location } = one
    const way = isTable
      ? 'query the tables of the databases: show tables lists them'
      : 'it sees more than its arguments'
    throw fail(new Failure('unsupported', `the function ${name} is not to be had here: ${way}`), location)
  }
}

function isAllowed({ name, isTable }: FunctionRef): boolean {
  if (isTable) return tableFunctions.has(name)
  if (name.startsWith('pg_')) return harmless.has(name)
  return !refused.has(name) && !name.startsWith('duckdb_') && !name.startsWith('pragma_') && !name.startsWith('read_')
}
