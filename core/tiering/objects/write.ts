/** Writes an object whose size nobody knows yet, holding a part or two in memory. */
import { OBJECT_PART_BYTES, OBJECT_WRITE_BUFFER_BYTES } from '../../limits.ts'
import type { MultipartUpload, ObjectStore, PutOptions, Written } from './port.ts'

/** How to write what comes in chunks. */
export interface WriteOptions extends PutOptions {
  /** Bytes of a part, and of what is written in one request; 5 MiB at the least, 8 MiB when left out. */
  readonly partBytes?: number
}

/** Write the chunks as one object: in one request when they fit in a part, else part by part, one being sent while the
 *  next one fills.
 *  @param chunks of any size; borrowed until the next one is asked for
 *  @returns the etag and the size
 *  @throws what the store and the chunks throw; the parts are dropped then */
export async function writeChunks(
  store: ObjectStore,
  key: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: WriteOptions = {},
): Promise<Written & { sizeBytes: number }> {
  const { partBytes = OBJECT_PART_BYTES, marker, signal, ...condition } = options
  // Most objects are small: a part's buffer grows with what comes.
  let part = new Uint8Array(Math.min(partBytes, OBJECT_WRITE_BUFFER_BYTES))
  let filled = 0
  let count = 0
  let upload: MultipartUpload | undefined
  let sending = Promise.resolve()
  const send = async (bytes: Uint8Array) => {
    await sending
    upload ??= await store.multipart(key, { partBytes, marker, signal })
    sending = upload.write(++count, bytes, { signal })
    // Its failure is thrown where it is awaited; until then it is nobody's unhandled one.
    sending.catch(() => {})
  }
  try {
    for await (const chunk of chunks) {
      for (let from = 0; from < chunk.length; ) {
        if (filled === partBytes) {
          await send(part)
          part = new Uint8Array(partBytes)
          filled = 0
        }
        const piece = chunk.subarray(from, from + partBytes - filled)
        if (filled + piece.length > part.length)
          part = grown(part, { filled, wanted: filled + piece.length, partBytes })
        part.set(piece, filled)
        filled += piece.length
        from += piece.length
      }
    }
    const rest = part.subarray(0, filled)
    if (upload === undefined)
      return { ...(await store.put(key, rest, { ...condition, marker, signal })), sizeBytes: filled }
    await send(rest)
    await sending
    const sizeBytes = (count - 1) * partBytes + filled
    return { ...(await (upload as MultipartUpload).complete({ ...condition, signal })), sizeBytes }
  } catch (error) {
    await sending.catch(() => {})
    await (upload as MultipartUpload | undefined)?.abort().catch(() => {})
    throw error
  }
}

/** Make room, at least twice as much, up to a part. */
function grown(
  part: Uint8Array,
  { filled, wanted, partBytes }: { readonly filled: number; readonly wanted: number; readonly partBytes: number },
): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(partBytes, Math.max(wanted, part.length * 2)))
  larger.set(part.subarray(0, filled))
  return larger
}
