/** SORT in a database of several shards: what its patterns name must be in the key's slot. */
import { expect, test } from 'vitest'
import { openTestServer } from './test-server.ts'

const lines = (...texts: string[]) => texts.map((text) => `${text}\r\n`).join('')
const denied = (option: string) =>
  `-ERR ${option} option of SORT denied in cluster mode when keys formed by the pattern may be in different slots.`

test('SORT in several shards', async () => {
  const server = await openTestServer({ shards: 4 })
  const client = server.connect()
  expect(await client.ask('RPUSH {t}l 2 1', 'SET {t}w_1 9', 'SET {t}w_2 1')).toBe(lines(':2', '+OK', '+OK'))
  expect(await client.ask('SORT {t}l', 'SORT_RO {t}l BY nosort GET #')).toBe(
    lines('*2', '$1', '1', '$1', '2', '*2', '$1', '2', '$1', '1'),
  )
  expect(await client.ask('SORT {t}l BY {t}w_* GET {t}w_*')).toBe(lines('*2', '$1', '1', '$1', '9'))
  expect(await client.ask('SORT {t}l BY w_*', 'SORT_RO {t}l BY {t*}w')).toBe(lines(denied('BY'), denied('BY')))
  expect(await client.ask('SORT {t}l GET {u}w_*', 'SORT_RO {t}l GET *')).toBe(lines(denied('GET'), denied('GET')))
  expect(await client.ask('MULTI', 'SORT {t}l BY w_*', 'EXEC')).toBe(lines('+OK', '+QUEUED', denied('BY')))
  expect(await client.ask('SORT {t}l STORE {t}to', 'LRANGE {t}to 0 0')).toBe(lines(':2', '*1', '$1', '1'))
  expect(await client.ask('SORT {t}l STORE other')).toBe("-CROSSSLOT Keys in request don't hash to the same slot\r\n")
  await server.close()
})
