/** The Worker of bench `parquet-workers`: an object with the events of the Parquet bench, written as the lake writes.
 *
 *      /fill?rows=    makes the events
 *      /write         writes them all, to nowhere; answers the bytes
 *      /empty         does nothing, as far away */
import { DurableObject } from 'cloudflare:workers'
import { WORKERS_PARQUET_GROUP_ROWS } from '@dotdo/core/limits'
import { createWorkersSql } from '../core/host/workers/sql.ts'
import { workersZstd } from '../core/host/workers/zstd.ts'
import { createParquetWriter, feedSql } from '../core/tiering/parquet/index.ts'
import { eventsSchema, fillEvents } from './parquet-data.ts'

interface Binding {
  readonly EVENTS: { get(id: unknown): { fetch(url: string): Promise<Response> }; idFromName(name: string): unknown }
}

/** The object. */
export class Events extends DurableObject {
  /** Do what the path says. */
  override async fetch(request: Parameters<NonNullable<DurableObject['fetch']>>[0]): Promise<never> {
    const { pathname, searchParams } = new URL(request.url)
    const sql = createWorkersSql(this.ctx.storage)
    let answer = 0
    if (pathname === '/fill') fillEvents(sql, Number(searchParams.get('rows')))
    if (pathname === '/write') {
      const sink = { write: () => undefined }
      const rowGroupRows = WORKERS_PARQUET_GROUP_ROWS
      const writer = createParquetWriter({ schema: eventsSchema, compressor: workersZstd, sink, rowGroupRows })
      const columns = eventsSchema.fields.map((field) => ({ field: field.name, sql: field.name }))
      await feedSql(writer, { sql, from: 'events', key: 'seq', columns })
      answer = (await writer.finish()).sizeBytes
    }
    return new Response(String(answer)) as never
  }
}

/** The Worker: passes requests on. */
export default {
  /** Ask the one object. */
  fetch(request: Request, { EVENTS }: Binding): Promise<Response> {
    return EVENTS.get(EVENTS.idFromName('events')).fetch(request.url)
  },
}
