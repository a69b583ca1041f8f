/** What every Sql does, whatever host it runs on: one list of cases, each on an empty database.
 *  Every difference that facts/durable-objects.md lists between the hosts has a case: what the port evens out in the
 *  lists of values and here, what it refuses in the list of refusals. */
import { Failure } from '../errors.ts'
import { countNumbers, expectFailure, makeNumbers, type SqlCase } from './sql-case.conformance.ts'
import { featureCases } from './sql-features.conformance.ts'
import { refusalCases } from './sql-refusals.conformance.ts'
import { valueCases } from './sql-values.conformance.ts'

const reading: SqlCase[] = [
  {
    name: 'an iteration may stop early; the next statement may write',
    run(sql, expect) {
      makeNumbers(sql)
      for (const { n } of sql.iterate('select n from numbers order by n')) if (n === 2) break
      sql.all('delete from numbers where n = 1')
      expect(countNumbers(sql)).toBe(4)
    },
  },
  {
    name: 'other reads run while an iteration is open, of the same statement too',
    run(sql, expect) {
      makeNumbers(sql, 3)
      const statement = 'select n from numbers order by n'
      const pairs: unknown[] = []
      for (const { n } of sql.iterate(statement)) {
        for (const { n: other } of sql.iterate(statement)) pairs.push([n, other])
        expect(sql.raw(statement).length).toBe(3)
      }
      expect(pairs).toEqual([
        [1, 1],
        [1, 2],
        [1, 3],
        [2, 1],
        [2, 2],
        [2, 3],
        [3, 1],
        [3, 2],
        [3, 3],
      ])
    },
  },
  {
    name: 'a write or a transaction while an iteration is open is refused',
    run(sql, expect) {
      makeNumbers(sql)
      for (const _ of sql.iterate('select n from numbers')) {
        expectFailure(expect, 'invalid', () => sql.all('insert into numbers values (?, ?)', 9, 81))
        expectFailure(expect, 'invalid', () => sql.raw('delete from numbers returning n'))
        expectFailure(expect, 'invalid', () => sql.all('drop table numbers'))
        expectFailure(expect, 'invalid', () => sql.transact(() => 1))
      }
      expect(sql.transact(() => countNumbers(sql))).toBe(5)
    },
  },
  {
    name: 'an iteration that is never begun or never ended does not block the transaction after it',
    run(sql, expect) {
      makeNumbers(sql)
      sql.iterate('select n from numbers')
      const left = sql.transact(() => {
        const open = sql.iterate('select n from numbers')
        open.next()
        return open
      })
      sql.all('delete from numbers where n = 1')
      expect(countNumbers(sql)).toBe(4)
      expectFailure(expect, 'invalid', () => left.next())
    },
  },
  {
    name: 'RETURNING is run to its end, whatever is read of it',
    run(sql, expect) {
      makeNumbers(sql)
      const updated = sql.iterate('update numbers set square = 0 where n < 4 returning n')
      updated.next()
      expect(sql.raw('select count(*) from numbers where square = 0')).toEqual([[3]])
      expect(sql.all('delete from numbers where n > 3 returning n, square')).toEqual([
        { n: 4, square: 16 },
        { n: 5, square: 25 },
      ])
    },
  },
  {
    name: 'a statement kept from before sees a changed schema',
    run(sql, expect) {
      sql.all('create table t (a integer) strict')
      sql.all('insert into t values (?)', 1)
      expect(sql.all('select * from t')).toEqual([{ a: 1 }])
      sql.all("alter table t add column b text not null default 'x'")
      expect(sql.all('select * from t')).toEqual([{ a: 1, b: 'x' }])
      expect(sql.raw('select * from t')).toEqual([[1, 'x']])
    },
  },
  {
    name: 'the size grows with what is stored and shrinks when it is deleted',
    run(sql, expect) {
      sql.all('create table t (b blob) strict')
      const empty = sql.sizeBytes()
      expect(empty).toBeGreaterThan(0)
      sql.all('insert into t values (?)', new Uint8Array(1_000_000))
      expect(sql.sizeBytes() - empty).toBeGreaterThan(990_000)
      sql.all('delete from t')
      expect(sql.sizeBytes() - empty).toBeLessThan(50_000)
    },
  },
]

const transactions: SqlCase[] = [
  {
    name: 'a transaction returns what its work returns and keeps what it wrote',
    run(sql, expect) {
      makeNumbers(sql)
      expect(sql.transact(() => sql.all('delete from numbers where n = 1 returning n'))).toEqual([{ n: 1 }])
      expect(countNumbers(sql)).toBe(4)
    },
  },
  {
    name: 'a throw undoes the work, tables made in it too, and passes on',
    run(sql, expect) {
      makeNumbers(sql)
      const reason = new Error('the reason')
      const work = () => {
        sql.all('delete from numbers')
        sql.all('create table made (a integer) strict')
        throw reason
      }
      expect(() => sql.transact(work)).toThrow(reason)
      expect(countNumbers(sql)).toBe(5)
      expect(sql.raw("select name from sqlite_master where name = 'made'")).toEqual([])
    },
  },
  {
    name: 'a throw inside undoes the inner work only',
    run(sql, expect) {
      makeNumbers(sql)
      sql.transact(() => {
        sql.all('delete from numbers where n = 1')
        const inner = () =>
          sql.transact(() => {
            sql.all('delete from numbers')
            throw new Failure('conflict', 'inner')
          })
        expectFailure(expect, 'conflict', inner)
        expect(countNumbers(sql)).toBe(4)
        expect(sql.transact(() => sql.raw('delete from numbers where n = 2 returning n'))).toEqual([[2]])
      })
      expect(countNumbers(sql)).toBe(3)
    },
  },
  {
    name: 'a throw outside undoes what an inner transaction had kept',
    run(sql, expect) {
      makeNumbers(sql)
      const work = () => {
        sql.transact(() => sql.all('delete from numbers'))
        throw new Error('outer')
      }
      expect(() => sql.transact(work)).toThrow('outer')
      expect(countNumbers(sql)).toBe(5)
    },
  },
  {
    name: 'fifty transactions nest',
    run(sql, expect) {
      makeNumbers(sql)
      const nest = (depth: number): number => {
        sql.all('update numbers set square = square + ? where n = ?', 1, 1)
        return depth === 0 ? 0 : 1 + sql.transact(() => nest(depth - 1))
      }
      expect(nest(50)).toBe(50)
      expect(sql.raw('select square from numbers where n = 1')).toEqual([[52]])
    },
  },
  {
    name: 'a failed statement undoes itself, not the transaction around it',
    run(sql, expect) {
      makeNumbers(sql)
      sql.transact(() => {
        sql.all('insert into numbers values (?, ?)', 6, 36)
        expectFailure(expect, 'conflict', () => sql.all('insert into numbers values (7, 49), (1, 1)'))
      })
      expect(countNumbers(sql)).toBe(6)
    },
  },
  {
    name: 'work that returns a promise is undone and refused',
    run(sql, expect) {
      makeNumbers(sql)
      const work = async () => {
        sql.all('delete from numbers')
      }
      expectFailure(expect, 'invalid', () => sql.transact(work))
      expectFailure(expect, 'invalid', () => sql.transact(() => Promise.reject(new Error('nobody hears this'))))
      expect(countNumbers(sql)).toBe(5)
    },
  },
  {
    name: 'what is written without a transaction stays when a later statement fails',
    run(sql, expect) {
      makeNumbers(sql)
      sql.all('delete from numbers where n = 1')
      expectFailure(expect, 'invalid', () => sql.all('select nothing from nowhere'))
      expect(countNumbers(sql)).toBe(4)
    },
  },
]

/** Every case; each wants an empty database. */
export const sqlCases: readonly SqlCase[] = [
  ...valueCases,
  ...reading,
  ...transactions,
  ...refusalCases,
  ...featureCases,
]
