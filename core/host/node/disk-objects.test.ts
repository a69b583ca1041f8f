/** Objects on disk: the conformance list, and what a disk has of its own. */
import { afterEach, describe, expect, it } from 'vitest'
import { objectCases } from '../../tiering/objects/objects.conformance.ts'
import { type DiskObjects, openDiskObjects } from './disk-objects.ts'
import { temporaryFolder } from './testing.ts'

const endings: (() => void)[] = []
afterEach(() => {
  for (const end of endings.splice(0).reverse()) end()
})

async function openEmpty(): Promise<{ store: DiskObjects; path: string }> {
  const folder = temporaryFolder()
  endings.push(folder.remove)
  const store = await openDiskObjects(folder.path)
  endings.push(() => store.close())
  return { store, path: folder.path }
}

describe('objects on disk', () => {
  it.each(objectCases)('$name', async ({ run }) => run((await openEmpty()).store, expect))
})
