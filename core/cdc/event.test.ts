import { describe, expect, test } from 'vitest'
import type { ChangeRecord } from '../shard/system.ts'
import { changedFields, isPublic, toDebezium, toEvent } from './event.ts'

const origin = { database: 'shop', shard: 2, incarnation: 'x1' }
const record: ChangeRecord = {
  seq: 42,
  epoch: 7,
  atMs: 1_700_000_000_000,
  collection: 'orders',
  op: 'put',
  slot: 300,
  documentId: 'o-1',
}
const event = (change: Partial<ChangeRecord> = {}) => toEvent({ ...record, ...change }, origin)

describe('the public event', () => {
  test('of a change of which only the key is known', () => {
    expect(event()).toEqual({
      id: '2.x1.7.42',
      operation: 'put',
      collection: 'orders',
      documentId: 'o-1',
      timestamp: 1_700_000_000_000,
      sequence: 42,
      source: { database: 'shop', shard: 2, incarnation: 'x1', epoch: 7, slot: 300 },
    })
  })

  test('says insert and update only where the document from before is known', () => {
    expect(event({ after: { a: 1 } })).toMatchObject({ operation: 'put', after: { a: 1 } })
    expect(event({ before: null, after: { a: 1 } })).toMatchObject({ operation: 'insert', before: null })
    expect(event({ before: { a: 0 }, after: { a: 1 } })).toMatchObject({ operation: 'update', changedFields: ['a'] })
    expect(event({ before: null, after: {} })).not.toHaveProperty('changedFields')
  })

  test('of a delete carries what was there; of a truncate, no document', () => {
    expect(event({ op: 'delete', before: { a: 1 } })).toMatchObject({ operation: 'delete', before: { a: 1 } })
    const truncate = event({ op: 'truncate', slot: -1, documentId: '' })
    expect(truncate).toMatchObject({ operation: 'truncate', documentId: '', source: { slot: -1 } })
  })

  test('says when documents were too large to keep', () => {
    expect(event({ omitted: true })).toMatchObject({ operation: 'put', omitted: true })
    expect(event()).not.toHaveProperty('omitted')
  })

  test('is not made of rows that left the shard with their slot, or came with it', () => {
    expect(isPublic({ ...record, moved: true })).toBe(false)
    expect(isPublic({ ...record, op: 'truncate', slot: 300 })).toBe(false)
    expect(isPublic({ ...record, op: 'truncate', slot: -1 })).toBe(true)
    expect(isPublic(record)).toBe(true)
  })
})

test.each([
  [{ a: 1 }, { a: 1 }, []],
  [{ a: 1, b: 2 }, { a: 1, b: 3 }, ['b']],
  [{ a: 1 }, { b: 1 }, ['a', 'b']],
  [{ a: null }, {}, ['a']],
  [{ a: { x: 1, y: [1, 2] } }, { a: { y: [1, 2], x: 1 } }, []],
  [{ a: [1, 2] }, { a: [2, 1] }, ['a']],
  [{ a: [] }, { a: {} }, ['a']],
  [{ a: 1 }, { a: '1' }, ['a']],
  [{ a: { x: 1 } }, { a: { x: 1, z: 1 } }, ['a']],
  [{}, JSON.parse('{"__proto__": 1}'), ['__proto__']],
])('changedFields of %j and %j', (before, after, fields) => {
  expect(changedFields(before, after)).toEqual(fields)
})

describe('the Debezium envelope', () => {
  const envelope = (change: Partial<ChangeRecord>) => toDebezium(event(change), 1_700_000_000_500)
  test('of an update', () => {
    expect(envelope({ before: { a: 0 }, after: { a: 1 } })).toEqual({
      before: { a: 0 },
      after: { a: 1 },
      source: {
        version: '1',
        connector: 'dotdo',
        name: 'shop',
        ts_ms: 1_700_000_000_000,
        snapshot: 'false',
        db: 'shop',
        sequence: '["x1","7","42"]',
        schema: 'shop',
        table: 'orders',
        shard: 2,
        slot: 300,
        document_id: 'o-1',
        captured: true,
      },
      op: 'u',
      ts_ms: 1_700_000_000_500,
      transaction: null,
    })
  })

  test.each([
    ['insert', { before: null, after: {} }, { op: 'c', before: null, after: {} }],
    ['put', { after: {} }, { op: 'u', before: null, source: { captured: true } }],
    ['put of a key', {}, { op: 'u', after: null, source: { captured: false } }],
    [
      'delete',
      { op: 'delete', before: { a: 1 } },
      { op: 'd', before: { a: 1 }, after: null, source: { captured: true } },
    ],
    ['delete of a key', { op: 'delete' }, { op: 'd', before: null, source: { captured: false, document_id: 'o-1' } }],
    ['truncate', { op: 'truncate', slot: -1, documentId: '' }, { op: 't', source: { document_id: null } }],
  ] as const)('of a %s', (_, change, expected) => {
    expect(envelope(change)).toMatchObject(expected)
  })
})
