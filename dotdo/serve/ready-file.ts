/** The file that says where a server listens, for those who started it. Node only. */
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { Failure } from '@dotdo/core/errors'

/** Write a file whole: a reader sees nothing, or everything.
 *  @param content becomes JSON
 *  @throws storage when it cannot be written */
export function writeReadyFile(path: string, content: unknown): void {
  const part = `${path}.${process.pid}.part`
  try {
    writeFileSync(part, `${JSON.stringify(content)}\n`)
    renameSync(part, path)
  } catch (error) {
    rmSync(part, { force: true })
    throw new Failure('storage', `cannot write the ready file: ${(error as Error).message}`, undefined, error)
  }
}

/** Remove the file, if it is there. */
export function removeReadyFile(path: string): void {
  rmSync(path, { force: true })
}
