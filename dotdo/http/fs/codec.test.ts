/** What comes in headers and URLs, made at random: it is read as it was written, or refused as invalid. */
import { Failure } from '@dotdo/core/errors'
import fc from 'fast-check'
import { type Context, Hono } from 'hono'
import { expect, it } from 'vitest'
import { checkOf, conditionsOf, expectationOf, timeoutMsOf } from './headers.ts'
import { hrefOf, targetOf } from './target.ts'
import { escapeXml } from './xml.ts'

const name = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  .filter((text) => text.isWellFormed() && !/[/\0]/.test(text) && text !== '.' && text !== '..')

it('a URL leads to the file that it was written for', () => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 5 }), fc.boolean(), (names, slash) => {
      const path = `/${names.join('/')}`
      const { pathname } = new URL(`http://a${hrefOf('web', path, slash)}`)
      expect(targetOf(pathname)).toMatchObject({ database: 'web', path })
    }),
  )
})

/** Read headers as a route does. */
async function withHeaders(headers: Record<string, string>, read: (context: Context) => unknown): Promise<unknown> {
  const app = new Hono()
  let result: unknown
  app.all('*', (context) => {
    result = read(context)
    return context.body(null)
  })
  app.onError((error) => {
    throw error
  })
  await app.request('/fs/web/a', { headers })
  return result
}

const target = { database: 'web', path: '/a', slash: false }
const part = fc.constantFrom('(', ')', ' ', 'Not ', '<a:b>', '</fs/web/x>', '["t"]', '[W/"t"]', '"', '*', ',', '<', '%')

it('a header is read, or refused as invalid', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 12 }), async (parts) => {
      const text = parts.join('').trim()
      const headers = { If: text, 'If-Match': text, 'If-None-Match': text, Timeout: text }
      for (const read of [
        (context: Context) => conditionsOf(context, target),
        (context: Context) => expectationOf(context, '/a'),
        (context: Context) => checkOf(context, target, []),
        timeoutMsOf,
      ]) {
        try {
          expect(await withHeaders(headers, read)).toBeDefined()
        } catch (error) {
          expect(error).toBeInstanceOf(Failure)
          expect(['invalid', 'unsupported']).toContain((error as Failure).code)
        }
      }
    }),
  )
})

it('text in XML is only text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      expect(escapeXml(text)).not.toMatch(/[<>"\0-\x08\x0b\x0c\x0e-\x1f]/)
    }),
  )
})
