/** What `dotdo` says of itself when it is called without arguments. */

/** Explain the command in a screenful. */
export function explain(version: string): string {
  return `dotdo ${version} - one storage fabric that speaks the protocols applications already use

Data lives in shards, each one SQLite file with an ordered log of every change made to it.
Redis clients work on it unchanged; more protocols follow.

Commands
  dotdo serve     serve Redis and HTTP from a folder
  dotdo status    show how a running server is, and its databases
  dotdo connect   open local ports onto a dotdo Worker on Cloudflare
  dotdo help      every command; dotdo serve --help lists every option

A first example
  dotdo serve                               # data in ./.dotdo, Redis on 6379, HTTP on 6480
  redis-cli set greeting hello              # in another terminal
  curl http://127.0.0.1:6480/databases      # how the data is spread
`
}
