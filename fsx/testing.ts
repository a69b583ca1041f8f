/** What tests of filesystems share. For tests only. */
import { fsx, type OpenedFileSystem } from './index.ts'

/** Open the filesystem of a folder. */
export function openIn(path: string): Promise<OpenedFileSystem> {
  return fsx({ dotdo: { data: path, durability: 'normal' } })
}

/** Tell how something ended: `done`, or the code of its error. */
export function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    ({ code }: { code: string }) => code,
  )
}
