/** Writes a data file to its store while its rows come, holding a part or two in memory. */
import type { Sink } from '../parquet/writer.ts'
import type { LakeFiles } from './files.ts'

/** A file under construction. Nobody sees it before `finish`. */
export class FileOutput implements Sink {
  private readonly writer: WritableStreamDefaultWriter<Uint8Array>
  private readonly sent: Promise<number>

  constructor(files: LakeFiles, location: string) {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    this.writer = writable.getWriter()
    this.sent = files.writeParts(location, chunksOf(readable.getReader()))
    // Its failure is thrown where it is awaited: by the next write, or at the end.
    this.sent.catch((error) => this.writer.abort(error).catch(() => {}))
    this.writer.closed.catch(() => {})
  }

  /** Append bytes.
   *  @throws what the store throws */
  async write(bytes: Uint8Array): Promise<void> {
    await this.writer.write(bytes)
  }

  /** End the file; it is there when this settles. */
  async finish(): Promise<void> {
    await this.writer.close()
    await this.sent
  }

  /** Give the file up. */
  async abort(error: unknown): Promise<void> {
    await this.writer.abort(error).catch(() => {})
    await this.sent.catch(() => {})
  }
}

async function* chunksOf(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    yield value
  }
}
