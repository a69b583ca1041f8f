/** The Parquet writer in workerd: with its own zstd, fed from Durable Object storage. */
import { env, runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { createWorkersSql } from '../../host/workers/sql.ts'
import { workersZstd } from '../../host/workers/zstd.ts'
import type { Sql } from '../../shard/sql.ts'
import { feedCases } from './feed-sql.conformance.ts'
import type { StructType } from './schema.ts'
import { readRows, writeRows } from './testing.ts'

const inside = (work: (sql: Sql) => Promise<void>) =>
  runInDurableObject(env.SQL.get(env.SQL.newUniqueId()), (_, { storage }) => work(createWorkersSql(storage)))

describe('zstd of workerd', () => {
  it('gives back pages of every size', () => {
    for (const length of [0, 1, 1000, 70_000, 3_000_000]) {
      // Noise, so that frames past 64 KB come out: older versions failed there.
      const bytes = Uint8Array.from({ length }, (_, at) => Math.imul(at ^ (at >>> 9), 0x9e3779b1) >>> 24)
      const back = workersZstd.decompress(workersZstd.compress(bytes), length)
      expect(back.length).toBe(length)
      expect(back.every((value, at) => value === bytes[at])).toBe(true)
    }
  })

  it('refuses what is no frame, or becomes another size', () => {
    const packed = workersZstd.compress(Uint8Array.of(1, 2, 3))
    const wrong = expect.objectContaining({ code: 'invalid' })
    expect(() => workersZstd.decompress(Uint8Array.of(1, 2, 3), 3)).toThrow(wrong)
    expect(() => workersZstd.decompress(packed, 2)).toThrow(wrong)
    expect(() => workersZstd.decompress(packed, 4)).toThrow(wrong)
  })
})

describe('the Parquet writer', () => {
  it('writes and reads nested rows', async () => {
    const schema: StructType = {
      type: 'struct',
      fields: [
        { id: 1, name: 'id', required: true, type: 'long' },
        { id: 2, name: 'name', required: false, type: 'string' },
        {
          id: 3,
          name: 'tags',
          required: false,
          type: { type: 'list', 'element-id': 4, element: 'string', 'element-required': true },
        },
      ],
    }
    const rows = Array.from({ length: 3000 }, (_, id) => ({
      id,
      name: id % 3 === 0 ? null : `name-${id % 10} é`,
      tags: id % 4 === 0 ? null : Array.from({ length: id % 4 }, (_, at) => `t${at}`),
    }))
    const { bytes } = await writeRows(schema, rows, { compressor: workersZstd, rowGroupRows: 1000, bloom: ['id'] })
    expect(await readRows(bytes, workersZstd)).toEqual(rows.map((row) => ({ ...row, id: BigInt(row.id) })))
  })
})

describe('feeding from Durable Object storage', () => {
  it.each(feedCases)('$name', ({ run }) => inside((sql) => run(sql, workersZstd, expect)))
})
