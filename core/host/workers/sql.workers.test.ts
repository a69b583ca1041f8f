/** The Sql port over the storage of a Durable Object: the conformance list, and what is workerd's own. */
import { env, runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { sqlCases } from '../../shard/sql.conformance.ts'
import type { Sql } from '../../shard/sql.ts'
import { expectFailure } from '../../shard/sql-case.conformance.ts'
import { createWorkersSql } from './sql.ts'

const fresh = () => env.SQL.get(env.SQL.newUniqueId())
const inside = (stub: ReturnType<typeof fresh>, work: (sql: Sql) => void) =>
  runInDurableObject(stub, (_, { storage }) => work(createWorkersSql(storage)))

describe('Sql over Durable Object storage', () => {
  it.each(sqlCases)('$name', ({ run }) => inside(fresh(), (sql) => run(sql, expect)))

  it('keeps the turn when RETURNING is only begun and the request ends', async () => {
    const stub = fresh()
    await inside(stub, (sql) => {
      sql.all('create table t (a integer) strict')
      sql.iterate('insert into t values (1), (2) returning a').next()
    })
    await inside(stub, (sql) => expect(sql.raw('select a from t')).toEqual([[1], [2]]))
  })

  it('keeps the turn when an iteration is left open and the request ends', async () => {
    const stub = fresh()
    await inside(stub, (sql) => {
      sql.all('create table t (a integer) strict')
      sql.all('insert into t values (1), (2)')
      sql.iterate('select a from t').next()
    })
    await inside(stub, (sql) => expect(sql.raw('select a from t')).toEqual([[1], [2]]))
  })

  it('tells limits that only it has as limits', () =>
    inside(fresh(), (sql) => {
      expectFailure(expect, 'limit', () => sql.raw('select ? like ?', 'x', 'x'.repeat(51)))
      expectFailure(expect, 'limit', () => sql.raw(`select ${Array.from({ length: 200 }, () => '1').join(' + ')}`))
    }))
})
