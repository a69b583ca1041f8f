/** What `dotdo` says of itself when it is called without arguments. */

/** Explain the command in a screenful. */
export function explain(version: string): string {
  return `dotdo ${version} - one storage fabric that speaks the protocols applications already use

Data lives in shards, each one SQLite file with an ordered log of every change made to it.
Redis clients work on it unchanged; more protocols follow. Cold rows move to Iceberg tables, and
SQL sees hot and cold as one.

Commands
  dotdo serve     serve Redis and HTTP from a folder
  dotdo status    show how a running server is, and its databases
  dotdo sql       query hot and cold rows; a shell without a query
  dotdo tier      show and change how databases flow into the lake
  dotdo fs        copy, list and mount the files of a running server
  dotdo connect   open local ports onto a dotdo Worker on Cloudflare
  dotdo help      every command; dotdo serve --help lists every option

A first example
  dotdo serve                               # data in ./.dotdo, Redis on 6379, HTTP on 6480
  redis-cli set greeting hello              # in another terminal
  dotdo sql "select key, value from keys"   # what was written, as SQL
  dotdo tier set default keys --hot-for 7d  # what is older moves to Iceberg tables in ./.dotdo/lake
`
}
