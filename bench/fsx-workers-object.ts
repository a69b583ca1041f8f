/** The Worker of bench `fsx-workers`: an object that is a filesystem, used from inside.
 *
 *      /create?n=     makes a directory of n files of 1 KB, each awaited; /batch?n= in one transaction
 *      /stat?n=       asks about each file of the last one; /read?n= reads each
 *      /empty         does nothing, as far away
 *
 *  Answers how many rows were written. */
import { DurableObject } from 'cloudflare:workers'
import { fsxInside } from '@dotdo/fsx/durable-object'
import type { FileSystem } from '@dotdo/fsx/filesystem'

interface Binding {
  readonly FILES: { get(id: unknown): { fetch(url: string): Promise<Response> }; idFromName(name: string): unknown }
}

const content = new Uint8Array(1024).fill(120)

/** The object. */
export class Files extends DurableObject {
  private opened: Promise<FileSystem> | undefined
  private round = 0
  private rowsWritten = 0

  private open(): Promise<FileSystem> {
    const { storage } = this.ctx
    const exec = (statement: string, ...values: unknown[]) => {
      const cursor = storage.sql.exec(statement, ...values)
      this.rowsWritten += cursor.rowsWritten
      return cursor
    }
    const counted = {
      sql: {
        exec,
        get databaseSize() {
          return storage.sql.databaseSize
        },
      },
      transactionSync: <T>(work: () => T) => storage.transactionSync(work),
    }
    return fsxInside(counted)
  }

  /** Do what the path says. */
  override async fetch(request: Parameters<NonNullable<DurableObject['fetch']>>[0]): Promise<never> {
    const { pathname, searchParams } = new URL(request.url)
    this.opened ??= this.open()
    const fs = await this.opened
    const n = Number(searchParams.get('n'))
    const makes = pathname === '/create' || pathname === '/batch'
    if (makes) await fs.promises.mkdir(`/d${++this.round}`)
    const path = (i: number) => `/d${this.round}/f${i}`
    const before = this.rowsWritten
    if (pathname === '/batch') await fs.writeAll(Array.from({ length: n }, (_, i) => [path(i), content] as const))
    if (pathname === '/create') for (let i = 0; i < n; i++) await fs.promises.writeFile(path(i), content)
    if (pathname === '/stat') for (let i = 0; i < n; i++) await fs.promises.stat(path(i))
    if (pathname === '/read') for (let i = 0; i < n; i++) await fs.promises.readFile(path(i))
    return new Response(String(this.rowsWritten - before)) as never
  }
}

/** The Worker: passes requests on. */
export default {
  /** Ask the one object. */
  fetch(request: Request, { FILES }: Binding): Promise<Response> {
    return FILES.get(FILES.idFromName('files')).fetch(request.url)
  },
}
