/** What tests of filesystems share. For tests only. */
import { fsx, type OpenedFileSystem } from './index.ts'

/** Open the filesystem of a folder. */
export function openIn(path: string): Promise<OpenedFileSystem> {
  return fsx({ dotdo: { data: path, durability: 'normal' } })
}

export { codeOf } from './fsx.conformance.ts'
