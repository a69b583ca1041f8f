import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startTestS3, type TestS3 } from '../../../test/s3/server.ts'
import { bytesOf } from '../../tiering/objects/object-case.conformance.ts'
import { type LakePlace, type OpenLake, openLakeStores } from './lake-stores.ts'
import { temporaryFolder } from './testing.ts'

let folder: ReturnType<typeof temporaryFolder>
const opened: OpenLake[] = []
const servers: TestS3[] = []

beforeEach(() => {
  folder = temporaryFolder()
})

afterEach(async () => {
  for (const lake of opened.splice(0)) lake.close()
  await Promise.all(servers.splice(0).map((server) => server.close()))
  folder.remove()
})

async function open(place: LakePlace): Promise<OpenLake> {
  const lake = await openLakeStores(place)
  opened.push(lake)
  return lake
}

async function startS3(): Promise<TestS3> {
  const server = await startTestS3()
  servers.push(server)
  return server
}

const accessOf = ({ url, credentials }: TestS3) => {
  const { accessKeyId, secretAccessKey, region } = credentials
  return { endpoint: url, accessKeyId, secretAccessKey, region }
}

describe('a lake in a folder', () => {
  it('keeps tables there, and counts what goes by', async () => {
    const { files, catalog, counts } = await open({ location: join(folder.path, 'my lake') })
    expect(files.root).toBe(`file://${folder.path}/my lake`)
    await catalog.createNamespace(['shop'])
    expect(await catalog.listNamespaces()).toEqual([['shop']])
    expect(existsSync(join(folder.path, 'my lake', 'shop@'))).toBe(true)
    expect(counts().lake?.put).toBeGreaterThan(0)
  })

  it('is open once at a time, but for threads of the same process', async () => {
    const location = join(folder.path, 'lake')
    await open({ location })
    await expect(openLakeStores({ location })).rejects.toMatchObject({
      code: 'conflict',
      message: `${location} is in use by another process`,
    })
    const shared = await openLakeStores({ location }, { isShared: true })
    await shared.files.write(shared.files.locationOf('a.bin'), bytesOf('a'))
    shared.close()
  })

  it('gives up what it has opened when another store cannot be', async () => {
    const location = join(folder.path, 'lake')
    const stores = { archive: { location: 'ftp://old' } }
    await expect(openLakeStores({ location, stores })).rejects.toThrow('ftp://old is neither a folder nor s3://')
    await open({ location })
  })

  it('has more stores, by name', async () => {
    const archive = join(folder.path, 'archive')
    const lake = await open({ location: join(folder.path, 'lake'), stores: { archive: { location: archive } } })
    expect(lake.stores).toEqual({ archive: `file://${archive}` })
    await lake.files.write(`${lake.stores.archive}/old.bin`, bytesOf('old'))
    expect(existsSync(join(archive, 'old.bin'))).toBe(true)
    expect(lake.counts().archive?.put).toBe(1)
    const stores = { lake: { location: archive } }
    await expect(openLakeStores({ location: join(folder.path, 'other'), stores })).rejects.toMatchObject({
      code: 'invalid',
    })
  })
})

describe('a lake in S3', () => {
  it('is a part of a bucket', async () => {
    const server = await startS3()
    const { files, catalog } = await open({ location: `s3://${server.bucketName}/my/lake/`, s3: accessOf(server) })
    expect(files.root).toBe(`s3://${server.bucketName}/my/lake`)
    await catalog.createNamespace(['shop'])
    expect(server.seen.every(({ key }) => key === undefined || key.startsWith('my/lake/'))).toBe(true)
    expect(await catalog.listNamespaces()).toEqual([['shop']])
  })

  it('may share a bucket with other stores, of another class', async () => {
    const server = await startS3()
    const s3 = accessOf(server)
    const stores = { archive: { location: `s3://${server.bucketName}/old`, s3: { ...s3, storageClass: 'GLACIER_IR' } } }
    const { files } = await open({ location: `s3://${server.bucketName}/new`, s3, stores })
    await files.write(`s3://${server.bucketName}/old/a.bin`, bytesOf('a'))
    await files.write(`s3://${server.bucketName}/new/b.bin`, bytesOf('b'))
    const classes = server.seen.map(({ key, headers }) => [key, headers['x-amz-storage-class']])
    expect(classes).toEqual([
      ['old/a.bin', 'GLACIER_IR'],
      ['new/b.bin', undefined],
    ])
  })

  it('tries again when the server is tired', async () => {
    const server = await startS3()
    const { files } = await open({ location: `s3://${server.bucketName}`, s3: accessOf(server) })
    let failures = 2
    server.interfere = () => (failures-- > 0 ? { status: 503, headers: {}, body: '' } : undefined)
    await files.write(files.locationOf('a.bin'), bytesOf('a'))
    expect(server.seen.length).toBe(3)
  })

  it.each([
    ['s3://', {}, 'no bucket'],
    ['s3://b/p', undefined, 'wants credentials'],
    ['gs://b/p', undefined, 'neither a folder nor'],
  ])('is refused at %s', async (location, s3, message) => {
    const access = s3 && { s3: { accessKeyId: 'a', secretAccessKey: 'b', ...s3 } }
    await expect(openLakeStores({ location, ...access })).rejects.toThrow(message)
  })
})

it('tables may be in a REST catalog, of which everything given is used', async () => {
  const asked: [url: string | undefined, authorization: string | undefined][] = []
  const server = createServer((request, response) => {
    asked.push([request.url, request.headers.authorization])
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(request.url?.includes('config') ? { defaults: {}, overrides: {} } : { namespaces: [] }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/rest`
  const catalog = { uri, token: 'tok', warehouse: 'w 1' }
  const lake = await open({ location: join(folder.path, 'lake'), catalog })
  expect(await lake.catalog.listNamespaces()).toEqual([])
  expect(asked).toEqual([
    ['/rest/v1/config?warehouse=w%201', 'Bearer tok'],
    [expect.stringMatching(/^\/rest\/v1\/namespaces/), 'Bearer tok'],
  ])
  server.close()
})
