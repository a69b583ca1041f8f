/** The entry of a worker thread that runs shards. Node only. */
import { serveLakeThread, sha256 } from '@dotdo/core/host/node'
import { besideWith, programs } from './programs.ts'

await serveLakeThread(programs, besideWith(sha256))
