import { Failure } from '@dotdo/core/errors'
import { describe, expect, it } from 'vitest'
import { envSource, fileSource, flagSource, isLoopback, settings, settle } from './settings.ts'
import { storesOf } from './settings-lake.ts'

const file = (values: unknown) => fileSource('c.json', JSON.stringify(values))

function refusal(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(Failure)
    expect((error as Failure).code).toBe('invalid')
    return (error as Failure).message
  }
  throw new Error('it was accepted')
}

/** A value for every setting that is none of its defaults, as each source spells it. */
const others: Record<string, { text: string; value: unknown }> = {
  data: { text: '/d', value: '/d' },
  redis: { text: '1', value: 1 },
  http: { text: 'off', value: 'off' },
  host: { text: '::1', value: '::1' },
  password: { text: '1234', value: '1234' },
  shards: { text: '1000', value: 1000 },
  threads: { text: '2', value: 2 },
  durability: { text: 'normal', value: 'normal' },
  readyFile: { text: '7', value: '7' },
  logLevel: { text: 'silent', value: 'silent' },
  json: { text: 'true', value: true },
  lake: { text: 's3://b/p', value: 's3://b/p' },
  lakeEndpoint: { text: 'http://e', value: 'http://e' },
  lakeRegion: { text: 'r', value: 'r' },
  lakeAccessKeyId: { text: '123', value: '123' },
  lakeSecretAccessKey: { text: '456', value: '456' },
  lakeSessionToken: { text: '789', value: '789' },
  stores: { text: 'a=/a,b=/b', value: 'a=/a,b=/b' },
  catalog: { text: 'http://c', value: 'http://c' },
  catalogToken: { text: 't', value: 't' },
  catalogWarehouse: { text: 'w', value: 'w' },
  sqlMemory: { text: '1.5gb', value: '1.5gb' },
  sqlThreads: { text: '3', value: 3 },
}

/** What a setting needs besides itself. */
const needed: Record<string, Record<string, string>> = {
  lake: { lakeAccessKeyId: 'a', lakeSecretAccessKey: 'b' },
  lakeEndpoint: { lake: 's3://b', lakeAccessKeyId: 'a', lakeSecretAccessKey: 'b' },
  catalogToken: { catalog: 'http://c' },
  catalogWarehouse: { catalog: 'http://c' },
}

const read = (name: string, settled: ReturnType<typeof settle>) => {
  return (settled as unknown as Record<string, unknown>)[name] ?? settled.ports[name]
}

describe('settings', () => {
  it('have defaults', () => {
    expect(settle([])).toEqual({
      data: './.dotdo',
      host: '127.0.0.1',
      http: 6480,
      ports: { redis: 6379 },
      shards: 1,
      threads: 0,
      durability: 'full',
      logLevel: 'info',
      json: false,
    })
  })

  it.each(settings.map((setting) => [setting.name, setting] as const))(
    'reads %s from every source',
    (name, { env }) => {
      const { text, value } = others[name] as (typeof others)[string]
      for (const source of [flagSource({ [name]: text }), envSource({ [env]: text }), file({ [name]: value })]) {
        expect(read(name, settle([source, file(needed[name] ?? {})]))).toBe(value)
      }
    },
  )

  it('takes flags before environment before file before default', () => {
    const sources = [flagSource({ shards: '2' }), envSource({ DOTDO_SHARDS: '3' }), file({ shards: 4 })]
    expect([0, 1, 2, 3].map((from) => settle(sources.slice(from)).shards)).toEqual([2, 3, 4, 1])
  })

  it('checks values that a stronger source hides', () => {
    const sources = [flagSource({ shards: '2' }), envSource({ DOTDO_SHARDS: 'x' })]
    expect(refusal(() => settle(sources))).toBe('DOTDO_SHARDS: "x" is not a whole number from 1 to 1000')
  })

  it('takes an empty variable for an unset one', () => {
    expect(settle([envSource({ DOTDO_SHARDS: '', DOTDO_PASSWORD: '' })])).toEqual(settle([]))
  })

  it.each([
    ['shards', '0'],
    ['shards', '1001'],
    ['shards', '1.5'],
    ['shards', '-1'],
    ['shards', '1e2'],
    ['threads', '257'],
    ['redis', '65536'],
    ['redis', 'on'],
    ['http', '-1'],
    ['durability', 'none'],
    ['logLevel', 'loud'],
    ['data', ''],
    ['json', 'maybe'],
  ])('refuses %s %s, naming flag, value and what would be right', (name, text) => {
    const setting = settings.find((one) => one.name === name)
    const said = refusal(() => settle([flagSource({ [name]: text })]))
    expect(said).toContain(`${setting?.flag.split(' ')[0]}: `)
    expect(said).toContain(` is not ${setting?.wants}`)
  })

  it('wants numbers as numbers in the file', () => {
    expect(refusal(() => settle([file({ shards: '4' })]))).toBe(
      'c.json: shards: "4" is not a whole number from 1 to 1000',
    )
  })

  it('refuses files that are no JSON object, or that name what is no setting', () => {
    expect(refusal(() => fileSource('c.json', '{'))).toMatch(/^c\.json is not JSON: /)
    expect(refusal(() => file([]))).toMatch(/^c\.json is not a JSON object/)
    expect(refusal(() => file({ shard: 1 }))).toMatch(/^c\.json: no such setting: shard; there are data, redis, /)
    expect(refusal(() => file({ config: 'x' }))).toContain('no such setting: config')
  })

  it('never shows the password', () => {
    const said = refusal(() => settle([file({ password: 12 })]))
    expect(said).toBe('c.json: password: its value is not text')
  })

  it('refuses other addresses than loopback without a password', () => {
    expect(refusal(() => settle([flagSource({ host: '0.0.0.0' })]))).toContain('there is no password')
    expect(settle([flagSource({ host: '0.0.0.0', password: 'p' })]).host).toBe('0.0.0.0')
  })

  it('knows loopback', () => {
    expect(['127.0.0.1', '127.9.9.9', '::1', 'localhost', 'LOCALHOST'].every(isLoopback)).toBe(true)
    expect(['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.evil.com', 'localhost.evil.com', ''].some(isLoopback)).toBe(false)
  })

  it('refuses to serve nothing', () => {
    expect(refusal(() => settle([flagSource({ redis: 'off', http: 'off' })]))).toContain('every port is off')
  })

  const keys = { lakeAccessKeyId: 'a', lakeSecretAccessKey: 'b' }
  const stores = { archive: { location: 's3://b/old', storageClass: 'STANDARD_IA' } }

  it('take stores as text, or from the file with all that belongs to them', () => {
    expect(storesOf(settle([flagSource({ stores: 'a=/a,b=/b c' })]))).toEqual({
      a: { location: '/a' },
      b: { location: '/b c' },
    })
    expect(storesOf(settle([file({ ...keys, stores })]))).toEqual(stores)
    expect(storesOf(settle([]))).toEqual({})
  })

  it.each([
    [{ lake: 's3://b' }, 's3://b wants credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'],
    [{ stores }, 's3://b/old wants credentials'],
    [{ lake: 'off', catalog: 'http://c' }, '--lake off: there is neither'],
    [{ lake: 'off', stores: 'a=/a' }, '--lake off: there is neither'],
    [{ catalogToken: 't' }, '--catalog-token and --catalog-warehouse go with --catalog'],
    [{ lakeEndpoint: 'http://e' }, '--lake-endpoint http://e: nothing is in S3'],
    [{ stores: 'A=/a' }, 'stores: its value is not archive=/mnt/archive'],
    [{ stores: { a: { place: '/a' } } }, 'stores: its value is not'],
    [{ sqlMemory: '12' }, 'sqlMemory: "12" is not a size, such as 512mb or 2gb'],
    [{ sqlThreads: 0 }, 'sqlThreads: 0 is not a whole number from 1 to 256'],
  ])('refuse %j', (values, said) => {
    expect(refusal(() => settle([file(values)]))).toContain(said)
  })

  it('take credentials of a store from the store itself', () => {
    const own = { archive: { location: 's3://b/old', accessKeyId: 'a', secretAccessKey: 'b' } }
    expect(storesOf(settle([file({ stores: own })]))).toEqual(own)
  })
})
