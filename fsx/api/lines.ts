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
    // Of a long line: joined when it ends.
    let pieces: string[] = []
    try {
      for await (const text of this.input) {
        if (!rest.endsWith('\r') && !ends.test(text)) {
          pieces.push(rest, text)
          rest = ''
          continue
        }
        const known = pieces.join('') + rest + text
        pieces = []
        // What begins \r\n may have come, and not its end.
        const end = known.endsWith('\r') ? -1 : known.length
        const lines = known.slice(0, end).split(ends)
        rest = `${lines.pop()}${known.slice(end < 0 ? end : known.length)}`
        yield* lines
      }
      rest = pieces.join('') + rest
      if (rest !== '') yield rest.replace(/\r$/, '')
    } finally {
      this.close()
      this.emit('close')
    }
  }
}
