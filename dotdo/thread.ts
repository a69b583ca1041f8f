/** The entry of a worker thread that runs shards. Node only. */
import { serveThread } from '@dotdo/core/host/node'
import { catalogProgram } from '@dotdo/core/shard'
import { programs } from './programs.ts'

serveThread([catalogProgram, ...programs])
