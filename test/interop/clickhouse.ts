/** ClickHouse as an independent reader of our tables: chdb, which .ci/run installs into the folder DOTDO_CHDB. */
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A row as ClickHouse shows it: integers of 64 bits and decimals as text. */
export type ClickHouseRow = Record<string, unknown>

/** The folder that chdb was installed into; undefined when it was not. */
export const chdbFolder: string | undefined = process.env.DOTDO_CHDB || undefined

/** Whether chdb can be loaded. A folder that is named and has none is a mistake of whoever runs the tests. */
export function hasClickHouse(): boolean {
  if (chdbFolder === undefined) return false
  if (!existsSync(join(chdbFolder, 'node_modules/chdb'))) throw new Error(`DOTDO_CHDB=${chdbFolder} has no chdb`)
  return true
}

/** Integers of 64 bits and decimals as text, so that JSON keeps them. */
const settings = [
  'output_format_json_quote_64bit_integers = 1',
  'output_format_json_quote_decimals = 1',
  'output_format_decimal_trailing_zeros = 1',
]

interface Reply {
  readonly id: number
  readonly text?: string
  readonly error?: string
}

/** A process that answers queries. */
export class ClickHouse {
  private readonly child: ChildProcess
  private readonly waiting = new Map<number, { resolve(text: string): void; reject(error: Error): void }>()
  private count = 0

  private constructor(child: ChildProcess) {
    this.child = child
    child.on('message', ({ id, text, error }: Reply) => {
      const one = this.waiting.get(id)
      this.waiting.delete(id)
      if (error === undefined) one?.resolve(text ?? '')
      else one?.reject(new Error(error))
    })
    child.on('exit', (code, signal) => {
      for (const { reject } of this.waiting.values()) reject(new Error(`ClickHouse ended: ${code ?? signal}`))
      this.waiting.clear()
    })
  }

  /** Start it.
   *  @param folder the only place whose files it reads */
  static async open(folder: string): Promise<ClickHouse> {
    const path = fileURLToPath(new URL('./clickhouse-child.mjs', import.meta.url))
    const child = fork(path, [chdbFolder as string], { cwd: folder, execArgv: [], env: { ...process.env, TZ: 'UTC' } })
    const opened = new ClickHouse(child)
    await new Promise<string>((resolve, reject) => opened.waiting.set(0, { resolve, reject }))
    return opened
  }

  /** Run a statement. */
  async run(sql: string): Promise<string> {
    const id = ++this.count
    return new Promise<string>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject })
      this.child.send({ id, sql })
    })
  }

  /** Run a query.
   *  @param options settings, such as `iceberg_snapshot_id = 1` */
  async rows(sql: string, ...options: string[]): Promise<ClickHouseRow[]> {
    const text = await this.run(`${sql} settings ${[...settings, ...options].join(', ')}`)
    const lines = text.split('\n').filter((line) => line !== '')
    return lines.map((line) => JSON.parse(line) as ClickHouseRow)
  }

  /** End it. */
  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve))
    // A query that never ends would not hear that it should.
    if (this.waiting.size > 0) this.child.kill('SIGKILL')
    else this.child.disconnect()
    await ended
  }
}
