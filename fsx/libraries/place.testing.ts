/** A filesystem for a library to work on. For tests only. */
import { afterEach, beforeEach, expect } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import type { OpenedFileSystem } from '../index.ts'
import { openIn } from '../testing.ts'

/** Where a library works. */
export interface Place {
  /** The filesystem, whose data are in a folder of this test's own. */
  readonly fs: OpenedFileSystem
  /** A folder of node:fs, for what is compared. */
  readonly folder: string
  /** Close it and open it again, as another process would. */
  reopen(): Promise<OpenedFileSystem>
}

/** Open a filesystem for each test; what a library has left there must keep to the rules. */
export function placeForEach(): Place {
  let data: ReturnType<typeof temporaryFolder>
  let plain: ReturnType<typeof temporaryFolder>
  let fs: OpenedFileSystem
  beforeEach(async () => {
    data = temporaryFolder()
    plain = temporaryFolder()
    fs = await openIn(data.path)
  })
  afterEach(async () => {
    expect(await fs.fsck()).toEqual([])
    await fs.close()
    data.remove()
    plain.remove()
  })
  return {
    get fs() {
      return fs
    },
    get folder() {
      return plain.path
    },
    async reopen() {
      await fs.close()
      fs = await openIn(data.path)
      return fs
    },
  }
}
