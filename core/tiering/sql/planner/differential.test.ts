/** Random queries over random rows: the planner, cut into random pieces, and DuckDB give the same answers.
 *
 *  Known differences, kept out of the queries, are told in README.md. */
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { beforeAll, expect, it } from 'vitest'
import { Failure } from '../../../errors.ts'
import { duckRows, loadTable, sameRows } from './duckdb-testing.ts'
import { QueryMaker, randomTables } from './random-testing.ts'
import { runSql } from './testing.ts'

let duck: DuckDBConnection
const seeds = Array.from({ length: Number(process.env.DOTDO_SQL_SEEDS ?? 12) }, (_, seed) => seed + 1)
const queriesPerSeed = 40

beforeAll(async () => {
  duck = await (await DuckDBInstance.create(':memory:')).connect()
  await duck.run("set TimeZone = 'UTC'")
  await duck.run('set integer_division = true')
})

it.each(seeds)('seed %i', async (seed) => {
  const maker = new QueryMaker(seed)
  const tables = randomTables(maker)
  for (const [name, table] of Object.entries(tables)) await loadTable(duck, name, table)
  let answered = 0
  for (let n = 0; n < queriesPerSeed; n++) {
    const sql = maker.query()
    const cut = { pieceRows: 1 + maker.below(20), isPartial: () => maker.below(2) === 0 }
    const theirs = await duckRows(duck, sql).catch((error: Error) => error)
    const ours = await runSql(sql, tables, { cut }).catch((error: unknown) => error)
    // A value out of range, or a cast that fails, may be met by one and not by the other, which skips the row.
    if (theirs instanceof Error || ours instanceof Error) {
      if (ours instanceof Error && !(ours instanceof Failure)) throw ours
      if (ours instanceof Failure && !(theirs instanceof Error)) expect(ours.message, sql).toMatch(/out of the range/)
      continue
    }
    answered++
    sameRows((ours as { rows: never[] }).rows, theirs, sql)
  }
  expect(answered).toBeGreaterThan(queriesPerSeed / 2)
})
