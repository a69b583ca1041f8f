import fc from 'fast-check'
import { avroMetadata } from 'icebird/src/avro/avro.metadata.js'
import { avroRead } from 'icebird/src/avro/avro.read.js'
import { describe, expect, it } from 'vitest'
import { readContainer, writeContainer } from '../avro/container.ts'
import type { AvroComplex } from '../avro/schema.ts'
import type { DataFile, ManifestEntry } from './data-file.ts'
import { positionDeleteRows } from './data-file.ts'
import { readManifest, writeManifest } from './manifest.ts'
import { type ManifestFile, readManifestList, summarize, writeManifestList } from './manifest-list.ts'
import { avroName } from './manifest-schema.ts'
import { makeSpec, type Partition, typesOf, unpartitioned } from './partition.ts'
import { makeSchema } from './schema.ts'
import { fromBinary, toBinary } from './values.ts'

const sync = new Uint8Array(16).fill(9)
const schema = makeSchema([
  { name: 'ns space', type: 'string' },
  { name: 'ts', type: 'timestamptz' },
  { name: 'price', type: 'decimal(9,2)' },
  { name: 'cost', type: 'decimal(9,2)' },
  { name: 'key', type: 'uuid' },
  { name: 'ratio', type: 'double' },
  { name: 'code', type: 'fixed[2]' },
  { name: 'n', type: 'long' },
])
const columns = ['ns space', 'price', 'cost', 'key', 'ratio', 'code', 'n']
const { spec } = makeSpec(
  [{ column: 'ts', transform: 'day' }, ...columns.map((column) => ({ column, transform: 'identity' }))],
  { schema, specs: [], lastPartitionId: 999 },
)
const typeOf = typesOf([schema])
const context = { specs: [spec, unpartitioned], typeOf }
const options = {
  path: 's3://b/t/metadata/m.avro',
  schema,
  spec,
  typeOf,
  content: 'data',
  snapshotId: 7,
  version: 2,
  sync,
} as const

function file(path: string, partition: Partition, more: Partial<DataFile> = {}): DataFile {
  return {
    content: 'data',
    path,
    format: 'PARQUET',
    specId: spec['spec-id'],
    partition,
    recordCount: 10,
    sizeBytes: 1000,
    ...more,
  }
}

const added = (one: DataFile): ManifestEntry => {
  return { status: 'added', snapshotId: 7, sequenceNumber: undefined, fileSequenceNumber: undefined, file: one }
}
const partition: Partition = [
  17_486,
  'a b',
  1420n,
  -5n,
  'f79c3e09-677c-4bbd-a479-3f349cb785e7',
  Number.NaN,
  new Uint8Array([1, 2]),
  2n ** 60n,
]
const listed = (manifest: ManifestFile, sequenceNumber: number) => {
  const list = { snapshotId: 7, parentSnapshotId: undefined, sequenceNumber, version: 2, sync }
  return readManifestList(writeManifestList([manifest], list))[0] as ManifestFile
}

describe('manifests', () => {
  it('keep every field of a file, whatever its partition', () => {
    const full = file('s3://b/t/data/1.parquet', partition, {
      columnSizes: new Map([[1, 100]]),
      valueCounts: new Map([[1, 10]]),
      nullCounts: new Map([[1, 0]]),
      nanCounts: new Map([[6, 2]]),
      lowerBounds: new Map([[1, toBinary('string', 'a')]]),
      upperBounds: new Map([[1, toBinary('string', 'b')]]),
      keyMetadata: new Uint8Array([1]),
      splitOffsets: [4, 2 ** 40],
      sortOrderId: 0,
    })
    const { bytes, manifest } = writeManifest(
      [
        added(full),
        added(
          file(
            's3://b/t/data/2.parquet',
            partition.map(() => null),
          ),
        ),
      ],
      options,
    )
    expect(manifest.sizeBytes).toBe(bytes.length)
    const [first, second] = readManifest(bytes, listed(manifest, 5), context)
    expect(first).toEqual({ status: 'added', snapshotId: 7, sequenceNumber: 5, fileSequenceNumber: 5, file: full })
    expect(second?.file.partition).toEqual(partition.map(() => null))
  })

  it('let added files inherit their number, and keep the numbers of all others', () => {
    const entries: ManifestEntry[] = [
      added(file('a', partition)),
      { ...added(file('b', partition)), sequenceNumber: 2 },
      { status: 'existing', snapshotId: 1, sequenceNumber: 1, fileSequenceNumber: 3, file: file('c', partition) },
      { status: 'deleted', snapshotId: 7, sequenceNumber: 0, fileSequenceNumber: 0, file: file('d', partition) },
    ]
    const { bytes, manifest } = writeManifest(entries, options)
    const line = listed(manifest, 9)
    expect(readManifest(bytes, line, context).map((entry) => [entry.sequenceNumber, entry.fileSequenceNumber])).toEqual(
      [
        [9, 9],
        [2, 9],
        [1, 3],
        [0, 0],
      ],
    )
    // The deleted file is no live one, so 1 is the lowest.
    expect([line.sequenceNumber, line.minSequenceNumber]).toEqual([9, 1])
    expect([
      line.addedFiles,
      line.existingFiles,
      line.deletedFiles,
      line.addedRows,
      line.existingRows,
      line.deletedRows,
    ]).toEqual([2, 1, 1, 20, 10, 10])
    const lost = { ...(entries[2] as ManifestEntry), sequenceNumber: undefined }
    expect(() => writeManifest([lost], options)).toThrow('c is existing and has no sequence number')
  })

  it('carry what the specification asks of the header and of every field', () => {
    const { bytes } = writeManifest([added(file('a', partition))], options)
    const { metadata, schema: avro } = readContainer(bytes)
    expect(metadata).toMatchObject({
      'schema-id': '0',
      'partition-spec-id': '0',
      'format-version': '2',
      content: 'data',
    })
    expect(JSON.parse(metadata.schema as string)).toEqual(schema)
    expect(JSON.parse(metadata['partition-spec'] as string)).toEqual(spec.fields)
    const fields = (avro as AvroComplex).fields ?? []
    expect(fields.map((field) => field['field-id'])).toEqual([0, 1, 3, 4, 2])
    const data = (fields[4] as { type: AvroComplex }).type.fields ?? []
    expect(data.map((field) => field['field-id'])).toEqual([
      134, 100, 101, 102, 103, 104, 108, 109, 110, 137, 125, 128, 131, 132, 135, 140, 143,
    ])
    const tuple = (data[3] as { type: AvroComplex }).type.fields ?? []
    expect(tuple.map((field) => field['field-id'])).toEqual(spec.fields.map((field) => field['field-id']))
    expect(tuple[1]).toMatchObject({ name: 'ns_x20space', 'iceberg-field-name': 'ns space' })
    expect(avroName('9a-b')).toBe('_9a_x2Db')
  })

  it('find fields by id where another writer names them otherwise', () => {
    const { bytes, manifest } = writeManifest([added(file('a', partition))], options)
    const list = writeManifestList([manifest], {
      snapshotId: 7,
      parentSnapshotId: 3n,
      sequenceNumber: 1,
      version: 2,
      sync,
    })
    const { records, schema: avro } = readContainer(list)
    const renamed = JSON.parse(JSON.stringify(avro).replace('added_files_count', 'added_data_files_count'))
    const old = records.map(({ added_files_count, ...rest }) => ({
      ...rest,
      added_data_files_count: added_files_count,
    }))
    expect(readManifestList(writeContainer(old, { schema: renamed, sync }))[0]?.addedFiles).toBe(1)
    expect(bytes.length).toBeGreaterThan(0)
  })

  it('of format v1 are read: no content, no sequence numbers, other names', () => {
    const id = (name: string, type: unknown, fieldId: number) => ({ name, type, 'field-id': fieldId })
    const tuple = { type: 'record', name: 'r102', fields: [id('day', ['null', 'int'], 1000)] }
    const old = {
      type: 'record',
      name: 'manifest_entry',
      fields: [
        id('status', 'int', 0),
        id('snapshot_id', 'long', 1),
        id(
          'data_file',
          {
            type: 'record',
            name: 'r2',
            fields: [
              id('file_path', 'string', 100),
              id('file_format', 'string', 101),
              id('partition', tuple, 102),
              id('record_count', 'long', 103),
              id('file_size_in_bytes', 'long', 104),
              id('block_size_in_bytes', 'long', 105),
            ],
          },
          2,
        ),
      ],
    } as const
    const v1 = { 'spec-id': 3, fields: [{ 'source-id': 2, 'field-id': 1000, name: 'ts_day', transform: 'day' }] }
    const entry = (status: number) => ({
      status,
      snapshot_id: 2n ** 60n,
      data_file: {
        file_path: 's3://b/x',
        file_format: 'parquet',
        partition: { day: 17 },
        record_count: 5,
        file_size_in_bytes: 6,
        block_size_in_bytes: 7,
      },
    })
    const bytes = writeContainer([entry(0), entry(1)], { schema: old as unknown as AvroComplex, sync })
    const { manifest } = writeManifest([added(file('a', partition))], options)
    const line = { ...manifest, specId: 3, sequenceNumber: 0, minSequenceNumber: 0 }
    const entries = readManifest(bytes, line, { specs: [v1], typeOf })
    expect(
      entries.map(({ sequenceNumber, fileSequenceNumber, snapshotId }) => [
        sequenceNumber,
        fileSequenceNumber,
        snapshotId,
      ]),
    ).toEqual([
      [0, 0, 2n ** 60n],
      [0, 0, 2n ** 60n],
    ])
    expect(entries[0]?.file).toMatchObject({
      content: 'data',
      format: 'PARQUET',
      partition: [17],
      recordCount: 5,
      sizeBytes: 6,
    })
  })

  it('are read by icebird', () => {
    const plain = makeSpec(
      [
        { column: 'ts', transform: 'day' },
        { column: 'ns space', transform: 'identity' },
      ],
      { schema, specs: [], lastPartitionId: 999 },
    )
    const one = file('s3://b/t/data/1.parquet', [1, 'x'], { lowerBounds: new Map([[8, toBinary('long', 3)]]) })
    const { bytes } = writeManifest([added(one)], { ...options, spec: plain.spec })
    const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 }
    const [entry] = avroRead({ reader, ...avroMetadata(reader) })
    expect(entry).toMatchObject({ status: 1, snapshot_id: 7n, sequence_number: undefined })
    expect(entry?.data_file).toMatchObject({
      file_path: one.path,
      record_count: 10n,
      partition: { ts_day: new Date(86_400_000), ns_x20space: 'x' },
    })
    expect(entry?.data_file.lower_bounds[0].key).toBe(8)
  })

  it('sum up partitions within the values', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.double())), (values) => {
        const { containsNull, containsNan, lower, upper } = summarize('double', values)
        expect(containsNull).toBe(values.includes(null))
        expect(containsNan).toBe(values.some(Number.isNaN))
        for (const value of values) {
          if (value === null || Number.isNaN(value)) continue
          expect(fromBinary('double', lower as Uint8Array)).toBeLessThanOrEqual(value)
          expect(fromBinary('double', upper as Uint8Array)).toBeGreaterThanOrEqual(value)
        }
      }),
    )
    expect(Object.is(fromBinary('double', summarize('double', [0]).lower as Uint8Array), -0)).toBe(true)
  })

  it('hold ten thousand files', () => {
    const entries = Array.from({ length: 10_000 }, (_, at) =>
      added(
        file(`s3://b/t/data/${at}.parquet`, partition, {
          valueCounts: new Map([
            [1, at],
            [2, at],
          ]),
          lowerBounds: new Map([[1, toBinary('string', `${at}`)]]),
        }),
      ),
    )
    const { bytes, manifest } = writeManifest(entries, options)
    expect(readManifest(bytes, listed(manifest, 1), context).map(({ file: one }) => one.path)).toEqual(
      entries.map(({ file: one }) => one.path),
    )
  })
})

describe('position deletes', () => {
  it('are sorted by path and position, each once', () => {
    expect(
      positionDeleteRows(
        new Map([
          ['b', [5, 1, 5]],
          ['a', [9]],
        ]),
      ),
    ).toEqual([
      { file_path: 'a', pos: 9 },
      { file_path: 'b', pos: 1 },
      { file_path: 'b', pos: 5 },
    ])
  })
})
