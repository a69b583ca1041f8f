import { describe, expect, it } from 'vitest'
import { ICEBERG_REST_ATTEMPT_MS_MAX } from '../../limits.ts'
import { applyUpdates } from './apply.ts'
import { creationUpdates } from './catalog.ts'
import { type RestCatalogOptions, restCatalog } from './catalog-rest.ts'
import { stringifyJson } from './json.ts'
import { isRequirementConflict } from './requirement.ts'
import { makeSchema } from './schema.ts'
import { testClock } from './testing.ts'

interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
  readonly body: string
}
interface Reply {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly json?: unknown
  readonly text?: string
}
type Step = Reply | Error | 'hang'

const uri = 'https://catalog.test/base'
const table = { namespace: ['db'], name: 't' }
const schema = makeSchema([{ name: 'id', type: 'long' }])
const uuid = 'f79c3e09-677c-4bbd-a479-3f349cb785e7'
const metadata = applyUpdates(undefined, creationUpdates({ schema, location: 's3://b/t' }, uuid), 1_000)
const loaded = { 'metadata-location': 's3://b/t/metadata/1.json', metadata, config: {} }
const request = { requirements: [], updates: [{ action: 'set-properties', updates: { a: '1' } }] } as const

/** A catalog that answers by a script, after its configuration. */
function scripted(steps: readonly Step[], options: Partial<RestCatalogOptions> = {}, config: unknown = {}) {
  const seen: Seen[] = []
  const clock = testClock()
  const script = [...steps]
  const fetch: RestCatalogOptions['fetch'] = async (url, { method, headers, body }) => {
    const isConfig = url.includes('/v1/config')
    if (!isConfig) seen.push({ method, url: url.slice(uri.length), headers, body: new TextDecoder().decode(body) })
    const step = isConfig ? { json: config } : script.shift()
    if (step === undefined) throw new Error('the script is over')
    if (step instanceof Error) throw step
    if (step === 'hang') {
      late()
      return new Promise(() => {})
    }
    const { status = 200, json, text = json === undefined ? '' : stringifyJson(json) } = step
    return new Response(status === 204 || status === 304 ? null : text, { status, headers: step.headers ?? {} })
  }
  // Waits are over at once here, so timeouts come only where the script says so.
  let late = () => {}
  const after: typeof clock.after = (delayMs, work) => {
    if (delayMs !== ICEBERG_REST_ATTEMPT_MS_MAX) return clock.after(delayMs, work)
    late = work
    return () => undefined
  }
  const catalog = restCatalog({ uri, fetch, clock: { ...clock, nowMs: clock.nowMs, after }, ...options })
  return { catalog, seen, clock }
}

/** For timers of what does not take long. */
const never = () => () => undefined
const error = (status: number, type: string, message = 'why', headers = {}): Reply => ({
  status,
  headers,
  json: { error: { message, type, code: status } },
})

describe('a commit', () => {
  it.each<[string, Reply]>([
    ['409 CommitFailedException', error(409, 'CommitFailedException')],
    ["R2's 400 ConcurrentUpdateError", error(400, 'ConcurrentUpdateError')],
    ['R2 that says it in words', error(400, 'BadRequest', 'ConcurrentUpdateError: another')],
  ])('that another came before is a conflict to be made again (%s)', async (_, reply) => {
    const { catalog, seen } = scripted([reply])
    const thrown = await catalog.commitTable(table, request).catch((one) => one)
    expect(isRequirementConflict(thrown)).toBe(true)
    expect(seen.length).toBe(1)
  })

  it.each<[string, Step]>([
    ['500', error(500, 'CommitStateUnknownException')],
    ['502', { status: 502, text: '<html>' }],
    ['503 without Retry-After', error(503, 'x')],
    ['504', error(504, 'x')],
    ['a lost connection', new TypeError('fetch failed')],
    ['no answer', 'hang'],
    ['an answer that is no JSON', { text: '{"metadata": ' }],
    ['an answer without table', { json: { metadata: {} } }],
  ])('whose outcome is not known is not sent again (%s)', async (_, step) => {
    const { catalog, seen } = scripted([step])
    const failure = { code: 'unavailable', detail: { outcome: 'unknown' } }
    await expect(catalog.commitTable(table, request)).rejects.toMatchObject(failure)
    await expect(scripted([step]).catalog.createTable(table, { schema })).rejects.toMatchObject(failure)
    expect(seen.length).toBe(1)
  })

  it.each([
    ['429', error(429, 'TooManyRequests', 'slow', { 'retry-after': '7' }), 7_000],
    ['503', error(503, 'x', 'busy', { 'retry-after': '2' }), 2_000],
  ])('that was refused with %s is sent again when the catalog says', async (_, refusal, waitMs) => {
    const { catalog, seen, clock } = scripted([refusal, { json: loaded }])
    const beforeMs = clock.nowMsIs
    await catalog.commitTable(table, request)
    expect(seen.length).toBe(2)
    expect(seen[1]).toEqual(seen[0])
    expect(clock.nowMsIs - beforeMs).toBeGreaterThanOrEqual(waitMs)
  })

  it('waits until a date, gives up at waits past a minute, and after so many attempts', async () => {
    const dated = testClock()
    const date = new Date(dated.nowMsIs + 30_000).toUTCString()
    const waiting = scripted([error(429, 'x', 'm', { 'retry-after': date }), { json: loaded }])
    const beforeMs = waiting.clock.nowMsIs
    await waiting.catalog.commitTable(table, request)
    expect(waiting.clock.nowMsIs - beforeMs).toBeGreaterThan(25_000)
    const long = scripted([error(429, 'x', 'm', { 'retry-after': '61' })])
    const none = { code: 'unavailable', detail: { outcome: 'none', retryAfterMs: 61_000 } }
    await expect(long.catalog.commitTable(table, request)).rejects.toMatchObject(none)
    const often = scripted(Array.from({ length: 9 }, () => error(429, 'x', 'm', { 'retry-after': '1' })))
    await expect(often.catalog.commitTable(table, request)).rejects.toMatchObject({ detail: { outcome: 'none' } })
    expect(often.seen.length).toBe(6)
  })

  it('that is refused after a first attempt of which little is known stays unknown', async () => {
    const busy = error(503, 'x', 'busy', { 'retry-after': '1' })
    const { catalog } = scripted([busy, error(409, 'CommitFailedException')])
    const failure = { code: 'unavailable', detail: { outcome: 'unknown' } }
    await expect(catalog.commitTable(table, request)).rejects.toMatchObject(failure)
  })

  it('of several tables is one request, where the catalog has it', async () => {
    const requests = ['a', 'b'].map((name) => ({ table: { namespace: ['db'], name }, request }))
    const { catalog, seen } = scripted([{ status: 204 }])
    await catalog.commitTables(requests)
    expect(seen).toMatchObject([{ method: 'POST', url: '/v1/transactions/commit' }])
    expect(JSON.parse(seen[0]?.body as string)).toEqual({
      'table-changes': requests.map((one) => ({ identifier: one.table, ...one.request })),
    })
    const without = scripted([], {}, { endpoints: ['GET /v1/{prefix}/namespaces'] })
    await expect(without.catalog.commitTables(requests)).rejects.toMatchObject({ code: 'unsupported' })
  })
})

describe('other failures', () => {
  it.each([
    [401, 'unauthenticated'],
    [403, 'forbidden'],
    [404, 'not_found'],
    [406, 'unsupported'],
    [400, 'invalid'],
    [422, 'invalid'],
    [413, 'limit'],
    [302, 'invalid'],
    [501, 'unsupported'],
  ])('%i is %s', async (status, code) => {
    const { catalog } = scripted([error(status, 'T')])
    await expect(catalog.loadTable(table)).rejects.toMatchObject({ code, message: expect.stringContaining('why') })
  })

  it('of reads are endured', async () => {
    const { catalog, seen } = scripted([error(500, 'x'), new TypeError('lost'), error(503, 'x'), { json: loaded }])
    expect((await catalog.loadTable(table)).metadata).toEqual(metadata)
    expect(seen.length).toBe(4)
  })
})

describe('configuration', () => {
  const pathOf = async (options: Partial<RestCatalogOptions>, config: unknown) => {
    const { catalog, seen } = scripted([{ json: loaded }], options, config)
    await catalog.loadTable({ namespace: ['a', 'b'], name: 'x/y z' })
    return seen[0]?.url
  }

  it('has overrides before options before defaults', async () => {
    const rest = 'namespaces/a%1Fb/tables/x%2Fy%20z'
    expect(await pathOf({}, {})).toBe(`/v1/${rest}`)
    expect(await pathOf({}, { defaults: { prefix: 'd' } })).toBe(`/v1/d/${rest}`)
    expect(await pathOf({ prefix: 'o' }, { defaults: { prefix: 'd' } })).toBe(`/v1/o/${rest}`)
    const both = { defaults: { prefix: 'd' }, overrides: { prefix: 'ws/1 2' } }
    expect(await pathOf({ prefix: 'o' }, both)).toBe(`/v1/ws/1%202/${rest}`)
  })

  it('names the separator of namespaces', async () => {
    const config = { overrides: { 'namespace-separator': '%2E' } }
    expect(await pathOf({}, config)).toBe('/v1/namespaces/a.b/tables/x%2Fy%20z')
    const { catalog } = scripted([], {}, config)
    await expect(catalog.loadTable({ namespace: ['a.b'], name: 't' })).rejects.toMatchObject({ code: 'invalid' })
  })

  it('is asked for with the warehouse, once, and again when that failed', async () => {
    const urls: string[] = []
    let isDown = true
    const fetch: RestCatalogOptions['fetch'] = async (url) => {
      urls.push(url)
      if (url.includes('config') && isDown) return new Response('{}', { status: 403 })
      return Response.json(url.includes('config') ? {} : { namespaces: [] })
    }
    const catalog = restCatalog({
      uri: `${uri}/`,
      warehouse: 'my house',
      fetch,
      clock: { ...testClock(), after: never },
    })
    await expect(catalog.listNamespaces()).rejects.toMatchObject({ code: 'forbidden' })
    isDown = false
    await catalog.listNamespaces()
    await catalog.listNamespaces()
    const config = `${uri}/v1/config?warehouse=my%20house`
    expect(urls).toEqual([config, config, `${uri}/v1/namespaces`, `${uri}/v1/namespaces`])
  })

  it('does not send credentials to another address', async () => {
    const { catalog } = scripted([], {}, { overrides: { uri: 'https://evil.test' } })
    await expect(catalog.listNamespaces()).rejects.toMatchObject({ code: 'unsupported' })
    for (const bad of ['ftp://x', 'https://user@host/x', 'catalog', 'https://h/x?y']) {
      expect(() => scripted([], { uri: bad })).toThrow('address')
    }
  })
})

describe('what is loaded', () => {
  it('is asked for by its etag', async () => {
    const first: Reply = { json: loaded, headers: { etag: '"1"' } }
    const { catalog, seen } = scripted([first, { status: 304 }, first])
    const one = await catalog.loadTable(table)
    expect(await catalog.loadTable(table)).toBe(one)
    expect(seen.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"1"'])
  })

  it('comes in pages, and only what was asked for', async () => {
    const { catalog, seen } = scripted([
      { json: { namespaces: [['a', 'x'], ['b']], 'next-page-token': 'p 2' } },
      {
        json: {
          namespaces: [
            ['a', 'y'],
            ['a', 'y', 'z'],
          ],
          'next-page-token': null,
        },
      },
    ])
    expect(await catalog.listNamespaces(['a'])).toEqual([
      ['a', 'x'],
      ['a', 'y'],
    ])
    expect(seen.map(({ url }) => url)).toEqual(['/v1/namespaces?parent=a', '/v1/namespaces?parent=a&pageToken=p%202'])
    const endless = { json: { identifiers: [], 'next-page-token': 'same' } }
    const { catalog: looping } = scripted([endless, endless, endless])
    await expect(looping.listTables(['a'])).rejects.toMatchObject({ code: 'invalid' })
  })

  it('is dropped with its files when asked to, and renamed', async () => {
    const { catalog, seen } = scripted([{ status: 204 }, { status: 204 }, { status: 204 }, error(409, 'x')])
    await catalog.dropTable(table)
    await catalog.dropTable(table, { purge: true })
    await catalog.renameTable(table, { namespace: ['e'], name: 'u' })
    const taken = catalog.renameTable(table, { namespace: ['e'], name: 'u' })
    await expect(taken).rejects.toMatchObject({ code: 'exists' })
    expect(seen.map(({ url }) => url)).toEqual([
      '/v1/namespaces/db/tables/t?purgeRequested=false',
      '/v1/namespaces/db/tables/t?purgeRequested=true',
      '/v1/tables/rename',
      '/v1/tables/rename',
    ])
    expect(JSON.parse(seen[2]?.body as string)).toEqual({ source: table, destination: { namespace: ['e'], name: 'u' } })
  })
})

describe('credentials', () => {
  it('are a token', async () => {
    const { catalog, seen } = scripted([{ json: { namespaces: [] } }], { credentials: { token: 'secret' } })
    await catalog.listNamespaces()
    expect(seen[0]?.headers.authorization).toBe('Bearer secret')
  })

  /** A catalog with tokens that count up, the first of which it refuses when told to. */
  function tokens(options: { refused?: string; expiresIn?: number; tokenUri?: string } = {}) {
    const clock = testClock()
    const forms: string[] = []
    const used: (string | undefined)[] = []
    const fetch: RestCatalogOptions['fetch'] = async (url, { headers, body }) => {
      if (url === (options.tokenUri ?? `${uri}/v1/oauth/tokens`)) {
        forms.push(new TextDecoder().decode(body))
        return Response.json({ access_token: `t${forms.length}`, expires_in: options.expiresIn ?? 3_600 })
      }
      if (!url.includes('config')) used.push(headers.authorization)
      if (headers.authorization === `Bearer ${options.refused}`) return new Response('{}', { status: 401 })
      return Response.json({ namespaces: [] })
    }
    const credentials = { clientId: 'me', clientSecret: 's&t', scope: 'PRINCIPAL_ROLE:ALL' }
    const tokenUri = options.tokenUri && { tokenUri: options.tokenUri }
    // Timeouts never come: nothing here takes long.
    const quiet = { ...clock, after: never }
    const catalog = restCatalog({ uri, fetch, clock: quiet, credentials: { ...credentials, ...tokenUri } })
    return { catalog, clock, forms, used }
  }

  it('are exchanged for a token, which is used until it expires', async () => {
    const { catalog, clock, forms, used } = tokens()
    await Promise.all([catalog.listNamespaces(), catalog.listNamespaces()])
    const form = 'grant_type=client_credentials&client_id=me&client_secret=s%26t&scope=PRINCIPAL_ROLE%3AALL'
    expect(forms).toEqual([form])
    clock.nowMsIs += 3_600_000
    await catalog.listNamespaces()
    expect(forms.length).toBe(2)
    expect(used).toEqual(['Bearer t1', 'Bearer t1', 'Bearer t2'])
  })

  it('are exchanged anew when the token is refused, once', async () => {
    const { catalog, forms } = tokens({ refused: 't1' })
    await catalog.listNamespaces()
    expect(forms.length).toBe(2)
    const { catalog: barred } = scripted([error(401, 'x')], { credentials: { token: 'x' } })
    await expect(barred.listNamespaces()).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('may be exchanged elsewhere', async () => {
    const { catalog, forms } = tokens({ tokenUri: 'https://login.test/token' })
    await catalog.listNamespaces()
    expect(forms.length).toBe(1)
  })

  it('that are wrong are said so, and not repeated', async () => {
    const fetch: RestCatalogOptions['fetch'] = async () =>
      Response.json({ error: 'invalid_client', error_description: 'no such client' }, { status: 401 })
    const credentials = { clientId: 'me', clientSecret: 'hidden' }
    const catalog = restCatalog({ uri, fetch, credentials, clock: { ...testClock(), after: never } })
    const thrown = await catalog.listNamespaces().catch((one) => one)
    expect(thrown).toMatchObject({ code: 'unauthenticated', message: expect.stringContaining('invalid_client') })
    expect(JSON.stringify([thrown.message, thrown.detail])).not.toContain('hidden')
  })

  it('sign requests', async () => {
    const credentials = { accessKeyId: 'AK', secretAccessKey: 'SK', region: 'eu-central-1', service: 'glue' }
    const { catalog, seen } = scripted([{ json: loaded }, { json: loaded }], { credentials })
    await catalog.loadTable({ namespace: ['a', 'b'], name: 't' })
    await catalog.commitTable(table, request)
    for (const { headers } of seen) {
      expect(headers.authorization).toMatch(
        /^AWS4-HMAC-SHA256 Credential=AK\/20\d{6}\/eu-central-1\/glue\/aws4_request, SignedHeaders=[^,]*host[^,]*, /,
      )
      expect(headers['x-amz-date']).toMatch(/^\d{8}T\d{6}Z$/)
    }
    // The body is part of what is signed.
    const other = scripted([{ json: loaded }], { credentials })
    await other.catalog.commitTable(table, { requirements: [], updates: [] })
    expect(other.seen[0]?.headers.authorization).not.toBe(seen[1]?.headers.authorization)
  })
})
