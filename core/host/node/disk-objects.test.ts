/** Objects on disk: the conformance list, and what a disk has of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { checkKey } from '../../tiering/objects/check.ts'
import { bytesOf, expectFailure, isSame } from '../../tiering/objects/object-case.conformance.ts'
import { objectCases } from '../../tiering/objects/objects.conformance.ts'
import { type DiskObjects, openDiskObjects } from './disk-objects.ts'
import { pathOfKey, segmentOfName } from './disk-path.ts'
import { contentOf } from './test-disk-writer.ts'
import { temporaryFolder } from './testing.ts'

const endings: (() => void)[] = []
afterEach(() => {
  for (const end of endings.splice(0).reverse()) end()
})

function emptyFolder(): string {
  const folder = temporaryFolder()
  endings.push(folder.remove)
  return folder.path
}

async function openFolder(path = emptyFolder()): Promise<DiskObjects & { path: string }> {
  const store = await openDiskObjects(path)
  endings.push(() => store.close())
  return Object.assign(store, { path })
}

describe('objects on disk', () => {
  it.each(objectCases)('$name', async ({ run }) => run(await openFolder(), expect))
})

describe('a folder of objects', () => {
  it('keeps objects and their etags when it is closed and opened again', async () => {
    const store = await openFolder()
    const { etag } = await store.put('table/metadata/v1.metadata.json', bytesOf('{}'))
    store.close()
    await expectFailure(expect, 'unavailable', () => store.get('table/metadata/v1.metadata.json'))
    const again = await openFolder(store.path)
    expect(await again.get('table/metadata/v1.metadata.json')).toEqual({ bytes: bytesOf('{}'), etag, sizeBytes: 2 })
    await again.put('table/metadata/v1.metadata.json', bytesOf('{"a":1}'), { ifMatch: etag })
  })

  it('is open once at a time', async () => {
    const store = await openFolder()
    await expectFailure(expect, 'conflict', () => openDiskObjects(store.path))
    store.close()
    await openFolder(store.path)
  })

  it('is shared by threads that write names of their own', async () => {
    const store = await openFolder()
    const shared = await openDiskObjects(store.path, { isShared: true })
    await Promise.all([store.put('a/1.bin', bytesOf('one')), shared.put('a/2.bin', bytesOf('two'))])
    expect((await store.list()).objects.map(({ key }) => key)).toEqual(['a/1.bin', 'a/2.bin'])
    expect((await shared.get('a/1.bin'))?.bytes).toEqual(bytesOf('one'))
    shared.close()
    await store.put('a/3.bin', bytesOf('three'))
    await expectFailure(expect, 'conflict', () => openDiskObjects(store.path))
  })

  it('leaves files under the names that keys have, for other programs to read', async () => {
    const store = await openFolder()
    await store.put('warehouse/events/data/day=2026-01-01/part-00000.parquet', bytesOf('PAR1'))
    expect(readFileSync(join(store.path, 'warehouse/events/data/day=2026-01-01/part-00000.parquet'), 'utf8')).toBe(
      'PAR1',
    )
  })

  it('takes no notice of files that are not its own', async () => {
    const store = await openFolder()
    await store.put('a.txt', bytesOf('1'))
    mkdirSync(join(store.path, 'lost+found'))
    mkdirSync(join(store.path, 'dotted.folder'))
    for (const name of ['.DS_Store', 'README', 'Upper.txt', '%41', 'plain', '%zz.txt', '%2F.txt', 'x%2e.txt']) {
      writeFileSync(join(store.path, name), 'stranger')
    }
    expect((await store.list()).objects.map(({ key }) => key)).toEqual(['a.txt'])
  })

  it('removes what uploads and writes of a dead process left, and folders that are empty', async () => {
    const store = await openFolder()
    const upload = await store.multipart('large')
    await upload.write(1, bytesOf('part'))
    await store.put('a/b/c/d', bytesOf('1'))
    const temporary = join(store.path, '.temporary')
    const parts = () => readdirSync(temporary).filter((name) => name.endsWith('.part'))
    expect(parts()).toHaveLength(1)
    await store.delete(['a/b/c/d'])
    expect(existsSync(join(store.path, 'a'))).toBe(false)
    store.close()
    await openFolder(store.path)
    expect(parts()).toEqual([])
  })

  it('never gives two writes one etag, however fast they are', async () => {
    const store = await openFolder()
    const etags = new Set<string>()
    for (let i = 0; i < 300; i++) etags.add((await store.put('a', bytesOf(String(i % 10)))).etag)
    expect(etags.size).toBe(300)
  })

  it('tells a disk that refuses from a key that is free', async () => {
    const store = await openFolder()
    writeFileSync(join(store.path, 'table'), 'a file where the folder would be')
    await expectFailure(expect, 'storage', () => store.put('table/a', bytesOf('1')))
    expect(await store.head('other/a')).toBeUndefined()
    await expectFailure(expect, 'limit', () => store.put('x'.repeat(300), bytesOf('1')))
  })
})

describe('paths of keys', () => {
  const segment = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 })
  const keys = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('/'))
  const isKey = (key: string) => {
    try {
      checkKey(key)
      return true
    } catch {
      return false
    }
  }

  it('lead back to their key, and stay in the folder', () => {
    fc.assert(
      fc.property(keys.filter(isKey), (key) => {
        const path = pathOfKey(key)
        expect(path.map((name, i) => segmentOfName(name, i === path.length - 1)).join('/')).toBe(key)
        for (const name of path) expect(name).toMatch(/^[a-z0-9_=+,@%-][\w=+,@%.-]*$/)
      }),
    )
  })

  it('differ for different keys, also where case does not count', () => {
    const near = fc.constantFrom(
      'a',
      'A',
      'é',
      'É',
      'a.',
      'a.b',
      'A.b',
      'con',
      'a/b',
      'a%',
      '%41',
      'a.b/c',
      'ǅ',
      'ſ',
      's',
      'K',
    )
    fc.assert(
      fc.property(near, near, (a, b) => {
        const fold = (key: string) => pathOfKey(key).join('/').normalize('NFKC').toLowerCase().toUpperCase()
        if (a !== b) expect(fold(a)).not.toBe(fold(b))
      }),
    )
  })

  it('are never those of a device of Windows', () => {
    for (const name of ['con', 'nul.txt', 'com1', 'lpt9.parquet', 'aux.']) expect(pathOfKey(name)[0]).toMatch(/^%/)
    expect(pathOfKey('console.txt')).toEqual(['console.txt'])
  })
})

/** Run the writer until it has acknowledged some, and kill it. @returns the last that it acknowledged */
async function writeAndKill(path: string, first: number, count: number): Promise<number> {
  const child = spawn(
    process.execPath,
    ['scripts/run.mjs', 'core/host/node/test-disk-writer.ts', path, String(first)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let last = -1
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line)
    if (last === first + count) child.kill('SIGKILL')
  }
  if (child.signalCode === null && child.exitCode === null) await once(child, 'exit')
  expect(child.signalCode).toBe('SIGKILL')
  return last
}

describe('kill -9', () => {
  it('leaves every acknowledged object, and none by half', async () => {
    const path = emptyFolder()
    let first = 10
    for (const count of [3, 17, 40]) {
      const last = await writeAndKill(path, first, count)
      const store = await openDiskObjects(path)
      const { objects } = await store.list({ limit: 1_000 })
      for (const { key } of objects) {
        const bytes = (await store.get(key))?.bytes ?? new Uint8Array(0)
        const number = Number(/^\d+/.exec(new TextDecoder().decode(bytes.subarray(0, 20)))?.[0])
        expect(isSame(bytes, contentOf(number)), key).toBe(true)
      }
      const listed = new Set(objects.map(({ key }) => key))
      for (let number = last; number > last - 5 && number >= first; number--) {
        expect(listed.has(`data/${number % 7}/${number}`), `object ${number} of ${last}`).toBe(true)
      }
      const pointer = await store.get('pointer')
      expect(isSame(pointer?.bytes, contentOf(last)) || isSame(pointer?.bytes, contentOf(last + 1))).toBe(true)
      expect(readdirSync(join(path, '.temporary')).filter((name) => name.endsWith('.part'))).toEqual([])
      store.close()
      first = last + 10
    }
  })
})
