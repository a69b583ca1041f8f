import { afterEach, describe, expect, it } from 'vitest'
import { openDiskObjects } from '../../host/node/disk-objects.ts'
import { temporaryFolder } from '../../host/node/testing.ts'
import { memoryObjects } from '../objects/memory.ts'
import type { ObjectStore } from '../objects/port.ts'
import { type CatalogSubject, catalogCases } from './catalog.conformance.ts'
import { fileCatalog } from './catalog-files.ts'
import { LakeFiles } from './files.ts'
import { testClock } from './testing.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean()
})

function subjectOf(store: ObjectStore, prefix?: string): CatalogSubject {
  const clock = testClock()
  const catalog = () => {
    const files = new LakeFiles({ store, root: 'file:///lake', chance: clock })
    return fileCatalog({ files, clock, ...(prefix !== undefined && { prefix }) })
  }
  return { catalog: catalog(), other: catalog(), nowMs: () => clock.nowMs() }
}

describe.each<[string, () => Promise<CatalogSubject>]>([
  ['in memory', async () => subjectOf(memoryObjects(testClock()))],
  ['in a folder of a store in memory', async () => subjectOf(memoryObjects(testClock()), 'some/folder')],
  [
    'on disk',
    async () => {
      const folder = temporaryFolder()
      cleanups.push(folder.remove)
      return subjectOf(await openDiskObjects(folder.path))
    },
  ],
])('the file catalog %s', (_, open) => {
  it.each(catalogCases.map((one) => [one.name, one] as const))('%s', async (_name, { run }) =>
    run(await open(), expect),
  )
})
