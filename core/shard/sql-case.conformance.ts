/** What the conformance cases of Sql are made of. */
import type { ExpectStatic } from 'vitest'
import { Failure } from '../errors.ts'
import type { Sql } from './sql.ts'

/** One thing every Sql does. */
export interface SqlCase {
  readonly name: string
  /** @param sql over an empty database of its own */
  run(sql: Sql, expect: ExpectStatic): void
}

/** Run work and check the failure it must end in. @returns the failure */
export function expectFailure(expect: ExpectStatic, code: Failure['code'], work: () => unknown): Failure {
  let thrown: unknown
  try {
    work()
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(Failure)
  expect(`${(thrown as Failure).code}: ${(thrown as Failure).message}`).toMatch(new RegExp(`^${code}: `))
  return thrown as Failure
}

/** Make a table of the numbers from 1 to `count` and their squares. */
export function makeNumbers(sql: Sql, count = 5): void {
  sql.all('create table numbers (n integer primary key, square integer not null) strict')
  const rows = JSON.stringify(Array.from({ length: count }, (_, at) => [at + 1, (at + 1) ** 2]))
  sql.all('insert into numbers select value ->> 0, value ->> 1 from json_each(?)', rows)
}

/** Count the rows of that table. */
export function countNumbers(sql: Sql): number {
  return sql.raw('select count(*) from numbers')[0]?.[0] as number
}
