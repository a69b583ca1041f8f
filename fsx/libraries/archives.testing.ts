/** Archives between a filesystem of ours and a folder of node:fs. For tests only. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { extract } from 'tar-fs'

/** Write an archive out to a folder of node:fs. */
export async function writeTar(bytes: AsyncIterable<Uint8Array>, folder: string): Promise<void> {
  await pipeline(Readable.from(bytes), extract(folder))
}
