/** The entry of a worker thread that runs shards. Node only. */
import { serveLakeThread } from '@dotdo/core/host/node'
import { programs } from './programs.ts'

await serveLakeThread(programs)
