/** What every ObjectStore keeps when many write at once. */
import { Failure } from '../../errors.ts'
import { bytesOf, type ObjectCase } from './object-case.conformance.ts'
import type { ObjectStore, Written } from './port.ts'

type Outcome = Written | 'conflict'

/** One try, or as many as a busy store takes to answer: `unavailable` before anything was done says nothing. */
async function outcomeOf(put: () => Promise<Written>): Promise<Outcome> {
  try {
    return await put()
  } catch (error) {
    if (error instanceof Failure && error.code === 'conflict') return 'conflict'
    throw error
  }
}

const winners = (outcomes: Outcome[]) =>
  outcomes.flatMap((one, i) => (one === 'conflict' ? [] : [{ i, etag: one.etag }]))

async function textOf(store: ObjectStore, key: string): Promise<string> {
  return new TextDecoder().decode((await store.get(key))?.bytes)
}

/** Cases of many writers. */
export const concurrencyCases: readonly ObjectCase[] = [
  {
    name: 'of 100 writers who want a free key, exactly one gets it',
    async run(store, expect) {
      const put = (_: unknown, i: number) =>
        outcomeOf(() => store.put('one/key', bytesOf(`writer ${i}`), { ifNoneMatch: '*' }))
      const won = winners(await Promise.all(Array.from({ length: 100 }, put)))
      expect(won).toHaveLength(1)
      expect(await textOf(store, 'one/key')).toBe(`writer ${won[0]?.i}`)
      expect((await store.head('one/key'))?.etag).toBe(won[0]?.etag)
    },
  },
  {
    name: 'of 50 writers who want to replace an object, exactly one does',
    async run(store, expect) {
      const { etag } = await store.put('a', bytesOf('before'))
      const put = (_: unknown, i: number) => outcomeOf(() => store.put('a', bytesOf(`writer ${i}`), { ifMatch: etag }))
      const won = winners(await Promise.all(Array.from({ length: 50 }, put)))
      expect(won).toHaveLength(1)
      expect(await textOf(store, 'a')).toBe(`writer ${won[0]?.i}`)
    },
  },
  {
    name: 'a counter of many writers loses no step',
    async run(store, expect) {
      await store.put('count', bytesOf('0'))
      const step = async () => {
        for (;;) {
          const body = await store.get('count')
          const next = bytesOf(String(Number(new TextDecoder().decode(body?.bytes)) + 1))
          const outcome = await outcomeOf(() => store.put('count', next, { ifMatch: body?.etag }))
          if (outcome !== 'conflict') return
        }
      }
      const writer = async () => {
        for (let i = 0; i < 5; i++) await step()
      }
      await Promise.all(Array.from({ length: 4 }, writer))
      expect(await textOf(store, 'count')).toBe('20')
    },
  },
  {
    name: 'a reader sees one write or another, never a mixture',
    async run(store, expect) {
      const write = (char: string) => store.put('a', bytesOf(char.repeat(200_000)))
      await write('0')
      const seen = new Set<string>()
      const read = async () => {
        for (let i = 0; i < 10; i++) {
          const text = await textOf(store, 'a')
          expect(text.length).toBe(200_000)
          expect(text).toBe((text[0] as string).repeat(200_000))
          seen.add(text[0] as string)
        }
      }
      await Promise.all([read(), read(), ...[...'12345'].map(write)])
      expect(seen.size).toBeGreaterThan(0)
    },
  },
  {
    name: 'a folder that empties while it is filled loses nothing',
    async run(store, expect) {
      for (let round = 0; round < 10; round++) {
        const fill = [0, 1, 2].map((i) => store.put(`deep/er/${round}/${i}`, bytesOf('new')))
        await Promise.all([...fill, store.delete([`deep/er/${round - 1}/0`, `deep/er/${round}/9`])])
      }
      const { objects } = await store.list({ prefix: 'deep/' })
      expect(objects).toHaveLength(30 - 9)
    },
  },
]
