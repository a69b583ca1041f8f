/** A file line by line: what FileHandle.readLines gives. node:readline, which Node takes for it, does nothing in
 *  workerd.
 *  @source https://nodejs.org/docs/latest-v20.x/api/readline.html#class-interfaceconstructor */
import { EventEmitter, type Readable } from '@dotdo/core/host/streams'

/** What ends a line. */
const ends = /\r\n|\n|\r|\u2028|\u2029/

/** Lines of a stream, to be iterated over or listened to (`line`, then `close`); once. */
export class Lines extends EventEmitter {
  private readonly input: Readable
  private isTold = false

  constructor(input: Readable) {
    super()
    this.input = input
    this.input.setEncoding('utf8')
    this.on('newListener', (name) => {
      if (name !== 'line' || this.isTold) return
      this.isTold = true
      // After the listener is there.
      void Promise.resolve().then(() => this.tell())
    })
  }

  private async tell(): Promise<void> {
    try {
      for await (const line of this) this.emit('line', line)
    } catch (error) {
      this.emit('error', error)
    }
  }

  /** Stop reading, and close the file. */
  close(): void {
    this.input.destroy()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    let rest = ''
    try {
      for await (const text of this.input) {
        const known = rest + text
        // What begins \r\n may have come, and not its end.
        const end = known.endsWith('\r') ? -1 : known.length
        const lines = known.slice(0, end).split(ends)
        rest = `${lines.pop()}${known.slice(end < 0 ? end : known.length)}`
        yield* lines
      }
      if (rest !== '') yield rest.replace(/\r$/, '')
    } finally {
      this.close()
      this.emit('close')
    }
  }
}
